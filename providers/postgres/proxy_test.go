package postgres_test

import (
	"bytes"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy stands between a Backend and its server. It can lose the answer to a COMMIT, and can lead to
// another server, as a host name does.
type proxy struct {
	port        int
	cutAtCommit atomic.Bool

	mu     sync.Mutex
	target int                   // the port of the server
	open   map[net.Conn]struct{} // to the server
}

func newProxy(t *testing.T, target int) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	p := &proxy{port: listener.Addr().(*net.TCPAddr).Port, target: target, open: map[net.Conn]struct{}{}}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			upstream, err := p.dial()
			if err != nil {
				client.Close()
				continue
			}
			go func() { io.Copy(upstream, client); upstream.CloseWrite() }()
			go p.answer(client, upstream)
		}
	}()
	return p
}

func (p *proxy) dial() (*net.TCPConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	conn, err := net.DialTCP("tcp", nil, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: p.target})
	if err == nil {
		p.open[conn] = struct{}{}
	}
	return conn, err
}

// lead ends all connections; those to come lead to the server at another port.
func (p *proxy) lead(target int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
	for conn := range p.open {
		conn.Close()
	}
	clear(p.open)
}

// answer copies what the server says, until it says that a COMMIT is done.
func (p *proxy) answer(client, upstream net.Conn) {
	defer client.Close()
	defer upstream.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := upstream.Read(buffer)
		if p.cutAtCommit.Load() && bytes.Contains(buffer[:n], []byte("COMMIT\x00")) {
			return
		}
		if _, werr := client.Write(buffer[:n]); err != nil || werr != nil {
			return
		}
	}
}
