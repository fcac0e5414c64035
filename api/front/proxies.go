package front

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Proxies are the networks of the proxies whose word about who a client is is believed. The zero value believes
// nobody.
type Proxies struct{ networks []netip.Prefix }

// ParseProxies reads networks (10.1.0.0/24) and single addresses. A network of every address is refused: whoever
// believes everybody has no addresses.
func ParseProxies(list []string) (Proxies, error) {
	var p Proxies
	for _, text := range list {
		text = strings.TrimSpace(text)
		network, err := netip.ParsePrefix(text)
		if err != nil {
			address, wrong := netip.ParseAddr(text)
			if wrong != nil {
				return Proxies{}, fmt.Errorf("%q is neither a network such as 10.1.0.0/24 nor an address", text)
			}
			address = address.Unmap().WithZone("")
			network = netip.PrefixFrom(address, address.BitLen())
		}
		if network.Addr().Is4In6() {
			return Proxies{}, fmt.Errorf("%q: write a network of IPv4 as one", text)
		}
		if network.Bits() == 0 {
			return Proxies{}, fmt.Errorf("%q is every address there is: name those of the proxies", text)
		}
		p.networks = append(p.networks, network.Masked())
	}
	return p, nil
}

// None reports whether nobody is believed.
func (p Proxies) None() bool { return len(p.networks) == 0 }

// Trust reports whether an address is a proxy's.
func (p Proxies) Trust(address netip.Addr) bool {
	for _, network := range p.networks {
		if network.Contains(address) {
			return true
		}
	}
	return false
}

// Client returns the address that a request came from: that of the connection, unless that is a trusted proxy's. Then
// it is the last address of X-Forwarded-For that is no trusted proxy's: each proxy appends the one it was asked by, so
// that whatever a client writes itself stands before it, and is not looked at. When the header ends, or holds
// something else, the address is the last one that was believed.
func (p Proxies) Client(peer netip.Addr, forwardedFor []string) netip.Addr {
	if !p.Trust(peer) {
		return peer
	}
	for line := len(forwardedFor) - 1; line >= 0; line-- {
		rest := forwardedFor[line]
		for more := true; more; {
			text := rest
			if i := strings.LastIndexByte(rest, ','); i >= 0 {
				rest, text = rest[:i], rest[i+1:]
			} else {
				more = false
			}
			address, ok := parseHop(text)
			if !ok {
				return peer
			}
			if peer = address; !p.Trust(peer) {
				return peer
			}
		}
	}
	return peer
}

// Encrypted reports whether a client's own connection is encrypted: the one a request came through or, where a trusted
// proxy asked, the one that it says the client has (X-Forwarded-Proto). Whoever forges that makes his own cookies useless.
func (p Proxies) Encrypted(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	if !p.Trust(AddressOf(r.RemoteAddr)) {
		return false
	}
	for _, line := range r.Header.Values("X-Forwarded-Proto") {
		for one := range strings.SplitSeq(line, ",") { // one proxy behind another
			if strings.EqualFold(strings.TrimSpace(one), "https") {
				return true
			}
		}
	}
	return false
}

// parseHop reads an address as proxies write it: with or without a port, IPv6 in brackets or not.
func parseHop(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	if with, err := netip.ParseAddrPort(text); err == nil {
		return plain(with.Addr()), true
	}
	if inner, ok := strings.CutPrefix(text, "["); ok {
		if text, ok = strings.CutSuffix(inner, "]"); !ok {
			return netip.Addr{}, false
		}
		if address, err := netip.ParseAddr(text); err != nil || !address.Is6() {
			return netip.Addr{}, false
		}
	}
	address, err := netip.ParseAddr(text)
	return plain(address), err == nil
}

// plain gives every address one form.
func plain(address netip.Addr) netip.Addr { return address.Unmap().WithZone("") }

// AddressOf returns the address in what net/http and net call a remote address; the zero one when it is none.
func AddressOf(remote string) netip.Addr {
	with, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return plain(with.Addr())
}

// HostOf returns what counts as one host: an address of IPv4, a network of 64 bits of IPv6, since a host has as many
// addresses of its network as it likes. What cannot be told apart counts as one.
func HostOf(address netip.Addr) netip.Prefix {
	bits := 64
	if address.Is4() {
		bits = 32
	}
	prefix, _ := address.Prefix(bits) // it fails for more bits than there are only
	return prefix
}

func addressOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return plain(tcp.AddrPort().Addr())
	}
	return AddressOf(a.String())
}
