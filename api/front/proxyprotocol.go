package front

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

// ErrProxyHeader is returned when a trusted proxy's connection does not begin with a header of the PROXY protocol.
var ErrProxyHeader = errors.New("the connection of a trusted proxy does not begin with a header of the PROXY protocol")

const (
	proxyV1    = "PROXY "
	proxyV2    = "\r\n\r\n\x00\r\nQUIT\n"
	proxyV1Max = 107 // the longest header of version 1, its line end included

	// proxyV2Max bounds what follows the fixed part of version 2: addresses and what proxies tell besides.
	proxyV2Max = 4096
)

// readProxyHeader reads the header that a proxy puts before a connection, versions 1 and 2, and nothing behind it. It
// returns the client's address, or a zero one when the proxy speaks for itself, e.g. to ask whether the node lives.
func readProxyHeader(r io.Reader) (netip.AddrPort, error) {
	// Both versions are longer than that, and differ in the first byte.
	head := make([]byte, len(proxyV2), proxyV1Max)
	if _, err := io.ReadFull(r, head); err != nil {
		return netip.AddrPort{}, ErrProxyHeader
	}
	switch {
	case string(head) == proxyV2:
		return readProxyV2(r)
	case bytes.HasPrefix(head, []byte(proxyV1)):
		return readProxyV1(r, head)
	}
	return netip.AddrPort{}, ErrProxyHeader
}

// readProxyV1 reads on to the end of the line, byte by byte: what follows it belongs to somebody else.
func readProxyV1(r io.Reader, line []byte) (netip.AddrPort, error) {
	for !bytes.HasSuffix(line, []byte("\r\n")) {
		if len(line) == proxyV1Max {
			return netip.AddrPort{}, ErrProxyHeader
		}
		line = line[:len(line)+1]
		if _, err := io.ReadFull(r, line[len(line)-1:]); err != nil {
			return netip.AddrPort{}, ErrProxyHeader
		}
	}
	words := strings.Split(strings.TrimSuffix(string(line), "\r\n"), " ")
	if words[1] == "UNKNOWN" {
		return netip.AddrPort{}, nil
	}
	if len(words) != 6 || words[1] != "TCP4" && words[1] != "TCP6" {
		return netip.AddrPort{}, ErrProxyHeader
	}
	source, err := netip.ParseAddr(words[2])
	destination, err2 := netip.ParseAddr(words[3])
	port, err3 := strconv.ParseUint(words[4], 10, 16)
	_, err4 := strconv.ParseUint(words[5], 10, 16)
	if errors.Join(err, err2, err3, err4) != nil || source.Zone() != "" || source.Is4() != (words[1] == "TCP4") || destination.Is4() != source.Is4() {
		return netip.AddrPort{}, ErrProxyHeader
	}
	return netip.AddrPortFrom(source.Unmap(), uint16(port)), nil
}

// readProxyV2 reads what follows the signature of version 2.
func readProxyV2(r io.Reader) (netip.AddrPort, error) {
	var fixed [4]byte // version and command, family, length
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		return netip.AddrPort{}, ErrProxyHeader
	}
	length := binary.BigEndian.Uint16(fixed[2:])
	if fixed[0]>>4 != 2 || fixed[0]&0xf > 1 || length > proxyV2Max {
		return netip.AddrPort{}, ErrProxyHeader
	}
	rest := make([]byte, length)
	if _, err := io.ReadFull(r, rest); err != nil {
		return netip.AddrPort{}, ErrProxyHeader
	}
	if fixed[0]&0xf == 0 { // LOCAL: the proxy's own
		return netip.AddrPort{}, nil
	}
	size := 0
	switch fixed[1] {
	case 0x11: // TCP over IPv4
		size = 4
	case 0x21: // TCP over IPv6
		size = 16
	case 0x00: // it does not know: as if it spoke for itself
		return netip.AddrPort{}, nil
	default: // datagrams and sockets of one machine do not come here
		return netip.AddrPort{}, ErrProxyHeader
	}
	if len(rest) < 2*size+4 {
		return netip.AddrPort{}, ErrProxyHeader
	}
	source, _ := netip.AddrFromSlice(rest[:size])
	return netip.AddrPortFrom(source.Unmap(), binary.BigEndian.Uint16(rest[2*size:])), nil
}
