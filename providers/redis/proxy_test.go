package redis_test

import (
	"bytes"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"broker/providers"
)

// proxy stands between a Backend and its server. It keeps what begins a transaction until it is let go, as a process
// that stands still does, and can lead to another server, as a host name does.
type proxy struct {
	port   int
	target atomic.Pointer[string]
	hold   atomic.Bool
	held   chan struct{} // gets one for each transaction that is kept
	let    chan struct{} // takes one for each to let go
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	p := &proxy{port: listener.Addr().(*net.TCPAddr).Port, held: make(chan struct{}, 8), let: make(chan struct{}, 8)}
	p.target.Store(&target)
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", *p.target.Load())
			if err != nil {
				client.Close()
				continue
			}
			go p.pass(client, server)
			go func() {
				defer client.Close()
				copyAll(client, server)
			}()
		}
	}()
	return p
}

// heldCreate begins a create whose transaction is kept, and whose deadline comes soon.
func (p *proxy) heldCreate(k *kit) (grant providers.Grant, done chan error) {
	p.hold.Store(true)
	for length := 200 * time.Millisecond; ; length *= 2 {
		grant, done = k.grant(nil), make(chan error, 1)
		grant.Deadline = time.Now().Add(length)
		go func() { _, err := k.Create(k.t.Context(), grant); done <- err }()
		select {
		case <-p.held:
			return grant, done
		case <-done: // the machine was slow, and the deadline passed before
		}
	}
}

func (p *proxy) pass(client, server net.Conn) {
	defer server.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if p.hold.Load() && bytes.Contains(bytes.ToLower(buffer[:n]), []byte("multi\r\n")) {
			p.held <- struct{}{}
			<-p.let
		}
		if _, failed := server.Write(buffer[:n]); err != nil || failed != nil {
			return
		}
	}
}

func copyAll(to, from net.Conn) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if _, failed := to.Write(buffer[:n]); err != nil || failed != nil {
			return
		}
	}
}
