package providers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// ErrAddressRefused is returned when a Dialer does not connect to an address because the operator
// does not allow it or because no provider has business there.
var ErrAddressRefused = errors.New("address refused")

// metadata are addresses at which cloud machines are told their own credentials. A connection that
// points there would turn the broker into a reader of them. Those that are link-local are refused
// as such.
var metadata = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"),
	netip.MustParseAddr("fd20:ce::254"),
	netip.MustParseAddr("100.100.100.200"),
	netip.MustParseAddr("168.63.129.16"),
	netip.MustParseAddr("192.0.0.192"),
}

// nat64 is the well-known prefix under which an IPv4 address hides in the last four bytes.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// DialerConfig configures a Dialer.
type DialerConfig struct {
	// Allow lists networks as CIDR prefixes or single addresses; only these are connected to. Empty
	// means every network, loopback and private ones included. Link-local, multicast and
	// unspecified addresses and cloud metadata services are refused whatever is listed.
	Allow []string

	// Deny lists networks in the same form; none of these is connected to, also when Allow lists it.
	Deny []string

	// Timeout bounds one connection attempt, resolving included. Zero means 10 seconds.
	Timeout time.Duration

	// Resolve looks a host name up. Nil means the system's resolver.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
}

// Dialer is the only way for providers to reach the network. It decides on the addresses that a
// name resolved to and connects to exactly these, so that a name cannot change its mind between
// the decision and the connection. The zero Dialer allows every network that DialerConfig does not
// always refuse. A Dialer is safe for concurrent use.
type Dialer struct {
	allow   []netip.Prefix
	deny    []netip.Prefix
	timeout time.Duration
	resolve func(ctx context.Context, host string) ([]netip.Addr, error)
}

// NewDialer returns a Dialer, or an error that names the entry of Allow or Deny that is no network.
func NewDialer(config DialerConfig) (Dialer, error) {
	d := Dialer{timeout: config.Timeout, resolve: config.Resolve}
	for _, list := range []struct {
		name     string
		entries  []string
		networks *[]netip.Prefix
	}{{"allowed", config.Allow, &d.allow}, {"denied", config.Deny, &d.deny}} {
		for _, entry := range list.entries {
			prefix, err := parseNetwork(entry)
			if err != nil {
				return Dialer{}, fmt.Errorf("reading %s network %q: want an address or a prefix such as 10.0.0.0/8", list.name, entry)
			}
			*list.networks = append(*list.networks, prefix)
		}
	}
	return d, nil
}

func parseNetwork(entry string) (netip.Prefix, error) {
	if strings.Contains(entry, "/") {
		prefix, err := netip.ParsePrefix(entry)
		if prefix.Addr().Is4In6() && prefix.Bits() >= 96 { // as addresses are held against it
			prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
		}
		return prefix.Masked(), err
	}
	addr, err := netip.ParseAddr(entry)
	if err != nil {
		return netip.Prefix{}, err
	}
	addr = addr.Unmap()
	return netip.PrefixFrom(addr, addr.BitLen()), nil
}

// DialContext connects to "host:port" over tcp, tcp4 or tcp6. The host is resolved once; its
// addresses are tried in order. The error wraps ErrAddressRefused when no address is allowed.
func (d Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if network != "tcp" && network != "tcp4" && network != "tcp6" {
		return nil, fmt.Errorf("dialing %s: %w: network %s is not tcp", address, ErrAddressRefused, network)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("dialing %s: %w", address, err)
	}
	timeout := d.timeout
	if timeout == 0 {
		timeout = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	addrs, err := d.lookup(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("resolving %q: %w", host, err)
	}
	var failures []error
	var dialer net.Dialer
	for _, addr := range addrs {
		if err := d.permit(addr); err != nil {
			failures = append(failures, fmt.Errorf("dialing %s: %w", host, err))
			continue
		}
		conn, err := dialer.DialContext(ctx, network, net.JoinHostPort(addr.String(), port))
		if err == nil {
			return conn, nil
		}
		failures = append(failures, err)
	}
	if len(failures) == 0 {
		return nil, fmt.Errorf("resolving %q: it has no address", host)
	}
	return nil, errors.Join(failures...)
}

func (d Dialer) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr.Unmap()}, nil
	}
	resolve := d.resolve
	if resolve == nil {
		resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	addrs, err := resolve(ctx, host)
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return addrs, err
}

// permit returns nil when the address may be connected to.
func (d Dialer) permit(addr netip.Addr) error {
	if reason := forbidden(addr); reason != "" {
		return fmt.Errorf("%w: %s is %s", ErrAddressRefused, addr, reason)
	}
	within := func(p netip.Prefix) bool { return p.Contains(addr.WithZone("")) }
	hidden := within
	if v4, ok := behind64(addr); ok {
		hidden = func(p netip.Prefix) bool { return within(p) || p.Contains(v4) }
	}
	if i := slices.IndexFunc(d.deny, hidden); i >= 0 {
		return fmt.Errorf("%w: %s is in %s, which the operator denies (deny_networks)", ErrAddressRefused, addr, d.deny[i])
	}
	if len(d.allow) == 0 || slices.ContainsFunc(d.allow, within) {
		return nil
	}
	return fmt.Errorf("%w: %s is in none of the networks that the operator allows (allow_networks)", ErrAddressRefused, addr)
}

// forbidden says why no provider may ever connect to the address, or "".
func forbidden(addr netip.Addr) string {
	addr = addr.WithZone("")
	switch {
	case addr.IsUnspecified():
		return "unspecified"
	case addr.IsMulticast():
		return "a multicast address"
	case addr.IsLinkLocalUnicast():
		return "link-local"
	case addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "a broadcast address"
	}
	for _, m := range metadata {
		if addr == m {
			return "a cloud metadata service"
		}
	}
	if v4, ok := behind64(addr); ok {
		return forbidden(v4)
	}
	return ""
}

// behind64 returns the IPv4 address that a translator reaches for one of its IPv6 addresses.
func behind64(addr netip.Addr) (v4 netip.Addr, ok bool) {
	addr = addr.WithZone("")
	if !nat64.Contains(addr) {
		return v4, false
	}
	b := addr.As16()
	return netip.AddrFrom4([4]byte(b[12:])), true
}
