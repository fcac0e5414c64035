package e2e

import (
	"context"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// wires are what connects hosts. One direction between two of them can be cut: what one sends does not reach the
// other any more, without either being told.
type wires interface {
	cut(from, to int)
	heal()
}

// cables are those of network namespaces.
type cables struct {
	h    *hosts
	cuts [][2]int
}

// nobody is a hardware address that no host has: the switch takes what is sent there, and nobody gets it. A route
// that leads nowhere would tell the sender.
const nobody = "02:00:00:00:de:ad"

func (c *cables) cut(from, to int) {
	c.h.t.Helper()
	c.neighbour(from, "replace", c.h.address(to), "lladdr", nobody, "nud", "permanent")
	c.cuts = append(c.cuts, [2]int{from, to})
}

func (c *cables) heal() {
	c.h.t.Helper()
	slices.SortFunc(c.cuts, func(a, b [2]int) int { return slices.Compare(a[:], b[:]) })
	for _, one := range slices.Compact(c.cuts) { // one may have been cut twice
		c.neighbour(one[0], "del", c.h.address(one[1]))
	}
	c.cuts = nil
}

func (c *cables) neighbour(host int, args ...string) {
	c.h.t.Helper()
	args = append(append([]string{"-n", c.h.namespace(host), "neigh"}, args...), "dev", "eth0")
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		c.h.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// inside calls a function whose sockets belong to a host.
func (h *hosts) inside(i int, call func() error) error {
	if !h.virtual {
		return call()
	}
	there, err := os.Open("/run/netns/" + h.namespace(i))
	if err != nil {
		return err
	}
	defer there.Close()
	result := make(chan error)
	go func() { // with a thread of its own: a network belongs to a thread
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			runtime.UnlockOSThread()
			result <- err
			return
		}
		defer home.Close()
		if err = unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err == nil {
			err = call()
		}
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread() // or else the thread ends with this
		}
		result <- err
	}()
	return <-result
}

// dialer dials from a host.
func (h *hosts) dialer(i int) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		err = h.inside(i, func() error {
			conn, err = new(net.Dialer).DialContext(ctx, network, address)
			return err
		})
		return conn, err
	}
}

// mustListen listens on a host.
func (h *hosts) mustListen(i int, port string) (listener net.Listener) {
	h.t.Helper()
	err := h.inside(i, func() (err error) {
		listener, err = net.Listen("tcp", net.JoinHostPort(h.address(i), port))
		return err
	})
	if err != nil {
		h.t.Fatalf("listening on %s: %v", h.names[i], err)
	}
	return listener
}

// Where hosts are namespaces a cut lets nothing through in its direction and everything in the other.
func TestCables(t *testing.T) {
	h := newHosts(t, 2)
	if !h.virtual {
		return // proxies stand in place of cables, and have tests of their own
	}
	sockets := make([]*net.UDPConn, 2)
	for i := range sockets {
		err := h.inside(i, func() (err error) {
			sockets[i], err = net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(h.address(i))})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		defer sockets[i].Close()
	}
	heard := func(from, to int, within time.Duration) bool {
		t.Helper()
		if _, err := sockets[from].WriteTo([]byte("hello"), sockets[to].LocalAddr()); err != nil {
			t.Fatalf("the sender of what does not arrive is told: %v", err)
		}
		if err := sockets[to].SetReadDeadline(time.Now().Add(within)); err != nil {
			t.Fatal(err)
		}
		_, _, err := sockets[to].ReadFrom(make([]byte, 10))
		return err == nil
	}
	const long, short = 10 * time.Second, 100 * time.Millisecond
	c := &cables{h: h}
	c.cut(0, 1)
	if heard(0, 1, short) || !heard(1, 0, long) {
		t.Error("a cut is not one of its direction")
	}
	c.cut(1, 0)
	if heard(1, 0, short) {
		t.Error("the other direction cannot be cut as well")
	}
	c.heal()
	if !heard(0, 1, long) || !heard(1, 0, long) {
		t.Error("healing did not help")
	}
}
