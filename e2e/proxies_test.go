package e2e

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"broker/internal/faultproxy"
)

// switchboard stands in place of cables where hosts are addresses of loopback: every node is told the address of a
// proxy as that of each other node, and the proxy sees whose process a connection comes from.
type switchboard struct {
	h    *hosts
	ways [][]faultproxy.Way // by sender and receiver
}

// newSwitchboard has the hosts' processes use proxies. It comes before the first of them.
func newSwitchboard(t *testing.T, h *hosts, nodes int) *switchboard {
	t.Helper()
	s := &switchboard{h: h, ways: make([][]faultproxy.Way, nodes)}
	h.options = func(i int) []string {
		return []string{"BROKERD_CLUSTER_ADVERTISE=" + s.address(i), "BROKERD_GOSSIP_LISTEN=off"}
	}
	for i := range nodes {
		s.ways[i] = make([]faultproxy.Way, nodes)
		listener, err := net.Listen("tcp", s.address(i))
		if err != nil {
			t.Fatal(err)
		}
		dial := func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(h.address(i), "8421"))
		}
		p := faultproxy.NewTCP(listener, dial, func(from net.Addr) (there, back *faultproxy.Way) {
			caller := s.caller(from, listener.Addr())
			if caller < 0 || caller >= nodes {
				return nil, nil
			}
			return &s.ways[caller][i], &s.ways[i][caller]
		})
		t.Cleanup(func() {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return s
}

func (s *switchboard) address(i int) string {
	return fmt.Sprintf("127.%d.%d.%d:8421", loopback(), s.h.number, 100+i)
}

func (s *switchboard) cut(from, to int) { s.ways[from][to].Cut() }

func (s *switchboard) heal() {
	for i := range s.ways {
		for j := range s.ways[i] {
			s.ways[i][j].Heal()
		}
	}
}

// caller returns which host's node has the other end of a connection; -1: none.
func (s *switchboard) caller(from, to net.Addr) int {
	socket := socketOf(from, to)
	if socket == "" {
		return -1
	}
	open, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is right
	for _, fd := range open {
		if target, err := os.Readlink(fd); err != nil || target != "socket:["+socket+"]" {
			continue
		}
		settings, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(fd)), "environ"))
		if err != nil {
			continue
		}
		for i, name := range s.h.names {
			if slices.Contains(strings.Split(string(settings), "\x00"), "BROKERD_NODE_ID="+name) {
				return i
			}
		}
	}
	return -1
}

// socketOf returns the kernel's number of the socket at one end of a connection; empty: it is gone.
func socketOf(from, to net.Addr) string {
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return ""
	}
	for line := range bytes.Lines(table) {
		fields := strings.Fields(string(line))
		if len(fields) > 9 && fields[1] == kernelAddress(from) && fields[2] == kernelAddress(to) {
			return fields[9]
		}
	}
	return ""
}

// kernelAddress writes an address as /proc/net/tcp does: the machine is little-endian.
func kernelAddress(a net.Addr) string {
	at, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return ""
	}
	ip := at.Addr().Unmap().As4()
	slices.Reverse(ip[:])
	return fmt.Sprintf("%s:%04X", strings.ToUpper(hex.EncodeToString(ip[:])), at.Port())
}
