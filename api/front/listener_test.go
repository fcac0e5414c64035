package front

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// strangers is a listener whose connections come from wherever a test wants.
type strangers struct{ waiting chan net.Conn }

func (s *strangers) Accept() (net.Conn, error) {
	c, ok := <-s.waiting
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (s *strangers) Close() error { close(s.waiting); return nil }

func (s *strangers) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 8420} }

// caller is the server's end of a connection from somewhere.
type caller struct {
	net.Conn
	remote net.Addr
	once   sync.Once
	closed chan struct{}
}

func (c *caller) RemoteAddr() net.Addr { return c.remote }

func (c *caller) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// house is a Listener with a test in front of it.
type house struct {
	t        *testing.T
	listener *Listener
	inner    *strangers
	accepted chan net.Conn
}

func newHouse(t *testing.T, config ListenerConfig) *house {
	t.Helper()
	h := &house{t: t, inner: &strangers{make(chan net.Conn)}, accepted: make(chan net.Conn)}
	h.listener = Listen(h.inner, config)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := h.listener.Accept()
			if err != nil {
				return
			}
			h.accepted <- c
		}
	}()
	t.Cleanup(func() { _ = h.listener.Close(); <-done })
	return h
}

// call connects from an address and returns the client's end and the server's, which is nil when it was closed at once.
func (h *house) call(remote string) (client, server net.Conn) {
	h.t.Helper()
	address, err := net.ResolveTCPAddr("tcp", remote)
	if err != nil {
		h.t.Fatal(err)
	}
	client, inner := net.Pipe()
	h.t.Cleanup(func() { _ = client.Close() })
	c := &caller{Conn: inner, remote: address, closed: make(chan struct{})}
	h.inner.waiting <- c
	select {
	case server = <-h.accepted:
	case <-c.closed:
	}
	return client, server
}

// calls connects from addresses in turn and says of how many connections each was let in.
func (h *house) calls(remotes ...string) (open []net.Conn) {
	h.t.Helper()
	for _, remote := range remotes {
		_, server := h.call(remote)
		open = append(open, server)
	}
	return open
}

func TestConnectionsOfOneHost(t *testing.T) {
	h := newHouse(t, ListenerConfig{MostEach: 2, Proxies: mustProxies(t, "10.1.0.0/24")})
	for _, row := range []struct {
		name, remote string
		in           bool
	}{
		{"the first", "203.0.113.9:1", true},
		{"the second", "203.0.113.9:2", true},
		{"the third", "203.0.113.9:3", false},
		{"its neighbour", "203.0.113.10:1", true},
		{"IPv6", "[2001:db8::1]:1", true},
		{"its network", "[2001:db8::2]:1", true},
		{"its network again", "[2001:db8::3]:1", false},
		{"another network", "[2001:db8:0:1::1]:1", true},
		{"this machine", "127.0.0.1:1", true},
		{"this machine again", "127.0.0.1:2", true},
		{"this machine once more", "127.0.0.1:3", true},
		{"a proxy", "10.1.0.1:1", true},
		{"a proxy again", "10.1.0.1:2", true},
		{"a proxy once more", "10.1.0.1:3", true},
	} {
		if _, server := h.call(row.remote); (server != nil) != row.in {
			t.Errorf("%s is let in: %t", row.name, server != nil)
		}
	}
	if open, refused := h.listener.Open(); open != 12 || refused != (Refused{Host: 2}) {
		t.Errorf("%d are open, refused are %+v", open, refused)
	}
}

func TestConnectionsAtOnce(t *testing.T) {
	h := newHouse(t, ListenerConfig{Most: 3})
	open := h.calls("203.0.113.1:1", "203.0.113.1:2", "203.0.113.2:1")
	if late := h.calls("203.0.113.3:1"); late[0] != nil {
		t.Error("the fourth is let in")
	}
	// Who looks after the node gets in.
	if local := h.calls("127.0.0.1:1", "[::1]:1"); local[0] == nil || local[1] == nil {
		t.Error("nobody of this machine is let in")
	}
	for range 2 { // closing twice is closing once
		_ = open[0].Close()
	}
	_ = open[1].Close()
	if late := h.calls("203.0.113.3:1"); late[0] != nil {
		t.Error("there was no room, as two of this machine are open")
	}
	_ = open[2].Close()
	if late := h.calls("203.0.113.3:1", "203.0.113.3:2"); late[0] == nil || late[1] != nil {
		t.Error("there was room for one")
	}
	if n, refused := h.listener.Open(); n != 3 || refused != (Refused{Full: 3}) {
		t.Errorf("%d are open, refused are %+v", n, refused)
	}
}

// sent writes in pieces what a client sends, and closes.
func sent(client net.Conn, pieces ...string) {
	for _, piece := range pieces {
		if _, err := io.WriteString(client, piece); err != nil {
			return
		}
	}
	_ = client.Close()
}

const v2Head = "\r\n\r\n\x00\r\nQUIT\n"

func TestProxyProtocol(t *testing.T) {
	const tcp4 = v2Head + "\x21\x11\x00\x0c\xcb\x00\x71\x09\xc0\x00\x02\x01\x12\x67\x20\xe4"
	for _, row := range []struct {
		name, remote string
		pieces       []string
		client       string // empty: it is closed
		rest         string
	}{
		{"version 1", "10.1.0.1:5", []string{"PROXY TCP4 203.0.113.9 192.0.2.1 4711 8420\r\nGET /"}, "203.0.113.9:4711", "GET /"},
		{"version 1, byte by byte", "10.1.0.1:5", []string{"PROXY TCP4 203", ".0.113.9 192.0.2.1 4711 84", "20\r", "\nGE", "T /"}, "203.0.113.9:4711", "GET /"},
		{"version 1 over IPv6", "10.1.0.1:5", []string{"PROXY TCP6 2001:db8::9 2001:db8::1 4711 8420\r\nx"}, "[2001:db8::9]:4711", "x"},
		{"version 1, unknown", "10.1.0.1:5", []string{"PROXY UNKNOWN\r\nx"}, "10.1.0.1:5", "x"},
		{"version 1, unknown with more", "10.1.0.1:5", []string{"PROXY UNKNOWN ffff:: ffff:: 1 2\r\nx"}, "10.1.0.1:5", "x"},
		{"version 1, mixed families", "10.1.0.1:5", []string{"PROXY TCP4 2001:db8::9 192.0.2.1 4711 8420\r\nx"}, "", ""},
		{"version 1, a name", "10.1.0.1:5", []string{"PROXY TCP4 localhost 192.0.2.1 4711 8420\r\nx"}, "", ""},
		{"version 1, a wrong port", "10.1.0.1:5", []string{"PROXY TCP4 203.0.113.9 192.0.2.1 99999 8420\r\nx"}, "", ""},
		{"version 1 without an end", "10.1.0.1:5", []string{"PROXY TCP4 203.0.113.9 192.0.2.1 4711 8420" + string(make([]byte, 100)) + "\r\n"}, "", ""},
		{"version 1, two lines in one", "10.1.0.1:5", []string{"PROXY X\r\nPROXY TCP4 203.0.113.9 192.0.2.1 4711 8420\r\n"}, "", ""},
		{"version 1 in lower case", "10.1.0.1:5", []string{"proxy TCP4 203.0.113.9 192.0.2.1 4711 8420\r\n"}, "", ""},
		{"version 2", "10.1.0.1:5", []string{tcp4, "GET /"}, "203.0.113.9:4711", "GET /"},
		{"version 2 in pieces", "10.1.0.1:5", []string{tcp4[:7], tcp4[7:14], tcp4[14:20], tcp4[20:] + "GET /"}, "203.0.113.9:4711", "GET /"},
		{"version 2 with more", "10.1.0.1:5", []string{v2Head + "\x21\x11\x00\x10\xcb\x00\x71\x09\xc0\x00\x02\x01\x12\x67\x20\xe4\x03\x00\x01\x00x"}, "203.0.113.9:4711", "x"},
		{"version 2 over IPv6", "10.1.0.1:5", []string{v2Head + "\x21\x21\x00\x24\x20\x01\x0d\xb8" + string(make([]byte, 11)) + "\x09" + string(make([]byte, 16)) + "\x12\x67\x20\xe4x"}, "[2001:db8::9]:4711", "x"},
		{"version 2 of the proxy itself", "10.1.0.1:5", []string{v2Head + "\x20\x00\x00\x00x"}, "10.1.0.1:5", "x"},
		{"version 2, cut off", "10.1.0.1:5", []string{tcp4[:20]}, "", ""},
		{"version 2, too short", "10.1.0.1:5", []string{v2Head + "\x21\x11\x00\x04\xcb\x00\x71\x09x"}, "", ""},
		{"version 2 of datagrams", "10.1.0.1:5", []string{v2Head + "\x21\x12\x00\x0c\xcb\x00\x71\x09\xc0\x00\x02\x01\x12\x67\x20\xe4"}, "", ""},
		{"version 3", "10.1.0.1:5", []string{v2Head + "\x31\x11\x00\x00"}, "", ""},
		{"version 2, too long", "10.1.0.1:5", []string{v2Head + "\x21\x11\xff\xff" + string(make([]byte, 65535))}, "", ""},
		{"none", "10.1.0.1:5", []string{"GET / HTTP/1.1\r\n"}, "", ""},
		{"nothing", "10.1.0.1:5", nil, "", ""},
		{"a header of nobody who is believed", "203.0.113.7:5", []string{"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nx"}, "203.0.113.7:5", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nx"},
	} {
		t.Run(row.name, func(t *testing.T) {
			h := newHouse(t, ListenerConfig{Proxies: mustProxies(t, "10.1.0.0/24"), ProxyProtocol: true})
			client, server := h.call(row.remote)
			go sent(client, row.pieces...)
			if row.client != "" && server.RemoteAddr().String() != row.client {
				t.Errorf("it comes from %s, want %s", server.RemoteAddr(), row.client)
			}
			rest, err := io.ReadAll(server)
			if row.client == "" {
				if open, refused := h.listener.Open(); !errors.Is(err, ErrProxyHeader) || open != 0 || refused.Header != 1 {
					t.Errorf("reading: %v; %d are open, refused are %+v", err, open, refused)
				}
				return
			}
			if err != nil || string(rest) != row.rest {
				t.Errorf("what follows is %q, %v", rest, err)
			}
		})
	}
}

// A proxy's clients are counted, not the proxy.
func TestProxiedConnectionsOfOneHost(t *testing.T) {
	h := newHouse(t, ListenerConfig{MostEach: 1, Proxies: mustProxies(t, "10.1.0.0/24"), ProxyProtocol: true})
	for i, row := range []struct {
		header string
		in     bool
	}{
		{"PROXY TCP4 203.0.113.9 192.0.2.1 1 8420\r\n", true},
		{"PROXY TCP4 203.0.113.9 192.0.2.1 2 8420\r\n", false},
		{"PROXY TCP4 203.0.113.8 192.0.2.1 3 8420\r\n", true},
		{"PROXY UNKNOWN\r\n", true},
		{"PROXY UNKNOWN\r\n", true},
	} {
		client, server := h.call("10.1.0.1:5")
		go sent(client, row.header)
		if _, err := io.ReadAll(server); (err == nil) != row.in {
			t.Errorf("connection %d: %v", i, err)
		}
	}
	if open, refused := h.listener.Open(); open != 4 || refused != (Refused{Host: 1}) {
		t.Errorf("%d are open, refused are %+v", open, refused)
	}
}

// A proxy that says nothing is not waited for, and what the server set for reading holds afterwards.
func TestDeadlinesOfProxies(t *testing.T) {
	h := newHouse(t, ListenerConfig{Proxies: mustProxies(t, "10.1.0.0/24"), ProxyProtocol: true, HeaderTimeout: 20 * time.Millisecond})
	_, server := h.call("10.1.0.1:5")
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, ErrProxyHeader) {
		t.Errorf("of a proxy that says nothing: %v", err)
	}
	client, server := h.call("10.1.0.1:5")
	if err := server.SetDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.WriteString(client, "PROXY UNKNOWN\r\n") }()
	var timeout net.Error
	if _, err := server.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("of a client that says nothing: %v", err)
	}
}

// A proxy speaks before the handshake, which is with the client.
func TestProxyProtocolBeforeTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.RemoteAddr+" "+r.Proto)
	}))
	server.Listener = Listen(server.Listener, ListenerConfig{Proxies: mustProxies(t, "127.0.0.1"), ProxyProtocol: true})
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	client := server.Client()
	client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err == nil {
			_, err = io.WriteString(c, "PROXY TCP6 2001:db8::9 2001:db8::1 4711 8420\r\n")
		}
		return c, err
	}
	answer, err := client.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if body, err := io.ReadAll(answer.Body); err != nil || string(body) != "[2001:db8::9]:4711 HTTP/2.0" {
		t.Errorf("%q, %v", body, err)
	}
}

// A header is either understood to its last byte, or refused; nothing behind it is taken.
func FuzzProxyHeader(f *testing.F) {
	f.Add([]byte("PROXY TCP4 203.0.113.9 192.0.2.1 4711 8420\r\nGET / HTTP/1.1"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add([]byte(v2Head + "\x21\x11\x00\x0c\xcb\x00\x71\x09\xc0\x00\x02\x01\x12\x67\x20\xe4rest"))
	f.Add([]byte(v2Head + "\x20\x00\x00\x00"))
	f.Add([]byte(v2Head + "\x21\x21\x00\x24"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := &counting{data: data}
		client, err := readProxyHeader(r)
		if err != nil {
			if !errors.Is(err, ErrProxyHeader) || client.IsValid() {
				t.Errorf("%v, %v", client, err)
			}
			return
		}
		if r.n > proxyV1Max && r.n > len(v2Head)+4+proxyV2Max {
			t.Errorf("%d bytes are a header", r.n)
		}
		again, err := readProxyHeader(&counting{data: data[:r.n]})
		if err != nil || again != client {
			t.Errorf("the header alone: %v, %v", again, err)
		}
	})
}

type counting struct {
	data []byte
	n    int
}

func (c *counting) Read(p []byte) (int, error) {
	if c.n == len(c.data) {
		return 0, io.EOF
	}
	n := copy(p, c.data[c.n:])
	c.n += n
	return n, nil
}
