package front

import (
	"net/netip"
	"strings"
	"testing"
)

func mustProxies(t testing.TB, list ...string) Proxies {
	t.Helper()
	p, err := ParseProxies(list)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestClient(t *testing.T) {
	proxies := mustProxies(t, "10.1.0.0/24", "192.0.2.7", "2001:db8:1::/48")
	for _, row := range []struct {
		name, peer string
		header     []string
		want       string
	}{
		{"no proxy, no header", "198.51.100.1", nil, "198.51.100.1"},
		{"a header of nobody who is believed", "198.51.100.1", []string{"203.0.113.9"}, "198.51.100.1"},
		{"a header that claims to come from a proxy", "198.51.100.1", []string{"203.0.113.9, 10.1.0.1"}, "198.51.100.1"},
		{"a proxy without a header", "10.1.0.1", nil, "10.1.0.1"},
		{"one hop", "10.1.0.1", []string{"203.0.113.9"}, "203.0.113.9"},
		{"what the client wrote itself stands before it", "10.1.0.1", []string{"127.0.0.1, 203.0.113.9"}, "203.0.113.9"},
		{"a client that pretends to be a proxy's client", "10.1.0.1", []string{"203.0.113.1, 10.1.0.9, 203.0.113.9"}, "203.0.113.9"},
		{"two proxies", "10.1.0.1", []string{"1.2.3.4, 203.0.113.9, 192.0.2.7"}, "203.0.113.9"},
		{"several headers are one list", "10.1.0.1", []string{"1.2.3.4", "203.0.113.9", "192.0.2.7"}, "203.0.113.9"},
		{"several headers, the last is the client", "10.1.0.1", []string{"192.0.2.7", "203.0.113.9"}, "203.0.113.9"},
		{"proxies only", "10.1.0.1", []string{"10.1.0.2, 192.0.2.7"}, "10.1.0.2"},
		{"with a port", "10.1.0.1", []string{"203.0.113.9:4711"}, "203.0.113.9"},
		{"IPv6", "2001:db8:1::1", []string{"2001:db8:9::2"}, "2001:db8:9::2"},
		{"IPv6 in brackets", "10.1.0.1", []string{"[2001:db8:9::2]"}, "2001:db8:9::2"},
		{"IPv6 with a port", "10.1.0.1", []string{"[2001:db8:9::2]:443"}, "2001:db8:9::2"},
		{"IPv4 in IPv6", "10.1.0.1", []string{"::ffff:203.0.113.9"}, "203.0.113.9"},
		{"IPv4 in IPv6 is a proxy too", "10.1.0.1", []string{"203.0.113.9, ::ffff:10.1.0.7"}, "203.0.113.9"},
		{"with a zone", "10.1.0.1", []string{"fe80::1%eth0"}, "fe80::1"},
		{"blanks", "10.1.0.1", []string{" \t203.0.113.9 "}, "203.0.113.9"},
		{"garbage", "10.1.0.1", []string{"unknown"}, "10.1.0.1"},
		{"garbage behind the client", "10.1.0.1", []string{"203.0.113.9, _hidden"}, "10.1.0.1"},
		{"garbage before the client", "10.1.0.1", []string{"<script>, 203.0.113.9"}, "203.0.113.9"},
		{"garbage before a proxy", "10.1.0.1", []string{"x, 192.0.2.7"}, "192.0.2.7"},
		{"empty", "10.1.0.1", []string{""}, "10.1.0.1"},
		{"an empty hop", "10.1.0.1", []string{"203.0.113.9,"}, "10.1.0.1"},
		{"half a bracket", "10.1.0.1", []string{"[2001:db8:9::2"}, "10.1.0.1"},
		{"IPv4 in brackets", "10.1.0.1", []string{"[203.0.113.9]"}, "10.1.0.1"},
		{"no octal", "10.1.0.1", []string{"0203.0.113.9"}, "10.1.0.1"},
		{"a port that is none", "10.1.0.1", []string{"203.0.113.9:99999"}, "10.1.0.1"},
		{"many", "10.1.0.1", []string{strings.Repeat("10.1.0.5,", 3000) + "10.1.0.6"}, "10.1.0.5"},
	} {
		if got := proxies.Client(netip.MustParseAddr(row.peer), row.header).String(); got != row.want {
			t.Errorf("%s: %s, want %s", row.name, got, row.want)
		}
	}
}

func TestProxiesThatAreNone(t *testing.T) {
	for _, text := range []string{"", "proxy.example", "10.1.0.0/33", "0.0.0.0/0", "::/0", "10.1.0.1:80", "::ffff:10.0.0.0/104"} {
		if _, err := ParseProxies([]string{"10.1.0.1", text}); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestHostOf(t *testing.T) {
	for address, want := range map[string]string{
		"203.0.113.9": "203.0.113.9/32", "2001:db8:1:2:3::4": "2001:db8:1:2::/64", "2001:db8:1:2:ffff::1": "2001:db8:1:2::/64",
	} {
		if got := HostOf(netip.MustParseAddr(address)).String(); got != want {
			t.Errorf("%s counts as %s, want %s", address, got, want)
		}
	}
	if HostOf(netip.Addr{}).IsValid() {
		t.Error("no address is a host")
	}
}

// Whatever the header says, it only counts behind a proxy, and the address is the peer's or one in the header.
func FuzzClient(f *testing.F) {
	for _, seed := range []string{"", "203.0.113.9", "10.1.0.2, [2001:db8::1]:80", "unknown, ::ffff:1.2.3.4", ",,", "fe80::1%eth0", "[::1", "1.2.3.4:5, 10.1.0.9"} {
		f.Add(seed, seed)
	}
	proxies := mustProxies(f, "10.1.0.0/24")
	stranger, proxy := netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("10.1.0.1")
	f.Fuzz(func(t *testing.T, first, second string) {
		header := []string{first, second}
		if got := proxies.Client(stranger, header); got != stranger {
			t.Errorf("a stranger is %s", got)
		}
		got := proxies.Client(proxy, header)
		if !got.IsValid() || got.Zone() != "" || got.Is4In6() {
			t.Errorf("the client is %q", got)
		}
		if joined := proxies.Client(proxy, []string{first + "," + second}); joined != got {
			t.Errorf("as one header it is %s, as two %s", joined, got)
		}
		// What a client puts in front changes nothing once there is an address of no proxy.
		if !proxies.Trust(got) {
			if more := proxies.Client(proxy, append([]string{"192.0.2.1"}, header...)); more != got {
				t.Errorf("with something in front it is %s, not %s", more, got)
			}
		}
	})
}
