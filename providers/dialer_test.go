package providers_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"broker/providers"
)

func TestDialerRefuses(t *testing.T) {
	resolve := func(_ context.Context, host string) ([]netip.Addr, error) {
		return map[string][]netip.Addr{
			"rebound.example": {netip.MustParseAddr("169.254.169.254")},
			"mapped.example":  {netip.MustParseAddr("::ffff:169.254.169.254")},
		}[host], nil
	}
	tests := []struct {
		network, address string
		allow            []string
	}{
		{"tcp", "169.254.169.254:80", nil},
		{"tcp", "169.254.169.254:80", []string{"0.0.0.0/0"}},
		{"tcp", "[fe80::1]:5432", nil},
		{"tcp", "[fe80::1%lo]:5432", nil},
		{"tcp", "[fd00:ec2::254]:80", nil},
		{"tcp", "[64:ff9b::169.254.169.254]:80", nil},
		{"tcp", "[::ffff:169.254.169.254]:80", nil},
		{"tcp", "0.0.0.0:5432", nil},
		{"tcp", "[::]:5432", nil},
		{"tcp", "224.0.0.1:5432", nil},
		{"tcp", "255.255.255.255:5432", nil},
		{"tcp", "rebound.example:5432", nil},
		{"tcp", "mapped.example:5432", nil},
		{"tcp", "127.0.0.1:5432", []string{"10.0.0.0/8"}},
		{"tcp", "127.0.0.1:5432", []string{"127.0.0.2"}},
		{"unix", "/var/run/postgresql/.s.PGSQL.5432", nil},
		{"udp", "127.0.0.1:53", nil},
	}
	for _, test := range tests {
		dialer, err := providers.NewDialer(providers.DialerConfig{Allow: test.allow, Resolve: resolve})
		if err != nil {
			t.Fatal(err)
		}
		conn, err := dialer.DialContext(t.Context(), test.network, test.address)
		if !errors.Is(err, providers.ErrAddressRefused) {
			t.Errorf("%s %s, allowed %v: got %v, %v, want refused", test.network, test.address, test.allow, conn, err)
		}
	}
}

func TestDialerConnects(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	asked := 0
	resolve := func(context.Context, string) ([]netip.Addr, error) {
		asked++
		return []netip.Addr{netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("::ffff:127.0.0.1")}, nil
	}
	named, err := providers.NewDialer(providers.DialerConfig{Allow: []string{"127.0.0.0/8"}, Resolve: resolve})
	if err != nil {
		t.Fatal(err)
	}
	for address, dialer := range map[string]providers.Dialer{"127.0.0.1:" + port: {}, "db.example:" + port: named} {
		conn, err := dialer.DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Errorf("dialing %s: %v", address, err)
			continue
		}
		conn.Close()
	}
	if asked != 1 {
		t.Errorf("the name was resolved %d times, want once", asked)
	}
	for _, config := range []providers.DialerConfig{{Allow: []string{"everywhere"}}, {Deny: []string{"10.0.0.0/40"}}} {
		if _, err := providers.NewDialer(config); err == nil {
			t.Errorf("a network that is none was taken: %+v", config)
		}
	}
	denied, err := providers.NewDialer(providers.DialerConfig{Allow: []string{"127.0.0.0/8"}, Deny: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	if conn, err := denied.DialContext(t.Context(), "tcp", "127.0.0.1:"+port); !errors.Is(err, providers.ErrAddressRefused) || !strings.Contains(err.Error(), "127.0.0.1/32, which the operator denies (deny_networks)") {
		t.Errorf("a denied address inside an allowed network: got %v, %v, want refused", conn, err)
	}
	if conn, err := denied.DialContext(t.Context(), "tcp", "10.1.2.3:"+port); !errors.Is(err, providers.ErrAddressRefused) || !strings.Contains(err.Error(), "10.1.2.3 is in none of the networks that the operator allows (allow_networks)") {
		t.Errorf("an address that is not allowed: got %v, %v, want refused", conn, err)
	}
}

// A denied network is denied in whichever way it, or an address of it, is written.
func TestDialerDenies(t *testing.T) {
	for _, row := range []struct{ deny, address string }{
		{"10.0.0.0/8", "10.1.2.3"},
		{"10.0.0.0/8", "::ffff:10.1.2.3"},
		{"10.0.0.0/8", "64:ff9b::a01:203"},
		{"::ffff:10.0.0.0/104", "10.1.2.3"},
		{"::ffff:10.1.2.3", "10.1.2.3"},
		{"64:ff9b::/96", "64:ff9b::a01:203"},
		{"::/0", "2001:db8::1"},
	} {
		d, err := providers.NewDialer(providers.DialerConfig{Deny: []string{row.deny}, Timeout: time.Second})
		if err != nil {
			t.Fatalf("%s: %v", row.deny, err)
		}
		if conn, err := d.DialContext(t.Context(), "tcp", net.JoinHostPort(row.address, "9")); !errors.Is(err, providers.ErrAddressRefused) {
			t.Errorf("%s while %s is denied: got %v, %v, want refused", row.address, row.deny, conn, err)
		}
	}
}
