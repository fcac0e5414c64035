package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"broker/sdnotify"
)

// manager is a service manager's end of the socket.
type manager struct {
	mu   sync.Mutex
	said []string
}

// newManager listens as systemd does and sets the variables for this process.
func newManager(t *testing.T, watchdog time.Duration) *manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	must(t, err)
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", strconv.FormatInt(watchdog.Microseconds(), 10))
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	m := &manager{}
	var reading sync.WaitGroup
	reading.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			m.mu.Lock()
			m.said = append(m.said, strings.Split(string(buf[:n]), "\n")...)
			m.mu.Unlock()
		}
	})
	t.Cleanup(func() { conn.Close(); reading.Wait() })
	return m
}

func (m *manager) heard(line string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.said, func(s string) bool { return strings.HasPrefix(s, line) })
}

func (m *manager) position(line string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Index(m.said, line)
}

// The service manager hears when a node serves, that it lives, and that it stops.
func TestServiceManagerIsTold(t *testing.T) {
	m := newManager(t, 300*time.Millisecond)
	c := loneConfig(t, filepath.Join(t.TempDir(), "data"))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, c, &syncBuffer{}) }()
	for _, line := range []string{"STATUS=starting", "READY=1", "WATCHDOG=1", "STATUS=leading in term"} {
		poll(t, line, func() bool { return m.heard(line) })
	}
	if m.heard("STOPPING=1") {
		t.Error("it says that it stops while it serves")
	}
	stop()
	must(t, <-ended)
	poll(t, "the stop", func() bool { return m.heard("STOPPING=1") })
	if ready, alive := m.position("READY=1"), m.position("WATCHDOG=1"); ready > alive {
		t.Errorf("alive before ready: %d, %d", alive, ready)
	}
}

// A node that does not start says why, and never that it is ready.
func TestServiceManagerHearsWhyNot(t *testing.T) {
	m := newManager(t, 0)
	c := loneConfig(t, filepath.Join(t.TempDir(), "data"))
	c.Init = false
	if err := serve(t.Context(), c, &syncBuffer{}); err == nil {
		t.Fatal("it started")
	}
	poll(t, "the reason", func() bool { return m.heard("STATUS=the data directory is empty") })
	if m.heard("READY=1") {
		t.Error("it says that it is ready")
	}
}

// A node that hangs is not told to be alive.
func TestServiceManagerHearsNothingOfAHangingNode(t *testing.T) {
	m := newManager(t, 30*time.Millisecond)
	n, err := sdnotify.New(os.Getenv)
	must(t, err)
	defer n.Close()
	ctx, cancel := context.WithCancel(t.Context())
	hangs := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() { n.Watch(ctx, func() string { <-hangs; return "well again" }) })
	n.Tell("MARK=1") // what came before it has been heard when this is
	poll(t, "the mark", func() bool { return m.heard("MARK=1") })
	if m.heard("WATCHDOG=1") {
		t.Error("a hanging node is said to live")
	}
	close(hangs)
	poll(t, "life", func() bool { return m.heard("WATCHDOG=1") })
	cancel()
	watcher.Wait()
}

func TestWithoutAServiceManager(t *testing.T) {
	n, err := sdnotify.New(func(string) string { return "" })
	if n != nil || err != nil {
		t.Fatalf("%v, %v", n, err)
	}
	n.Tell("READY=1")
	n.Watch(t.Context(), nil)
	must(t, n.Close())
	if _, err := sdnotify.New(func(string) string { return "/nowhere/notify" }); err == nil {
		t.Error("a socket that is not there is no error")
	}
}
