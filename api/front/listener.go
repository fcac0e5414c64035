package front

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// loopbackReserve is how many connections of this machine are taken when there is no room for others: whoever
// looks after a node that is being flooded gets in, and so does what asks whether it lives.
const loopbackReserve = 64

// ListenerConfig says how many connections a Listener has open.
type ListenerConfig struct {
	// Most is how many connections may be open. Zero: any number.
	Most int

	// MostEach is how many of them may come from one host, see [HostOf]. Zero: any number. Those of this machine
	// and of trusted proxies are not counted by host: they come on behalf of many.
	MostEach int

	// Proxies are trusted proxies.
	Proxies Proxies

	// ProxyProtocol has every connection of a trusted proxy begin with a header of the PROXY protocol, which tells the
	// client's address. Others must have none: theirs is part of what they send, and no request begins like that.
	ProxyProtocol bool

	// HeaderTimeout is how long a trusted proxy may take for its header. Zero: 5 s.
	HeaderTimeout time.Duration
}

// Listener hands out connections of another listener, no more at a time than it may. What is too much is closed
// at once: a client sees that as a node that cannot be reached, and asks another one. Put TLS around it, so that
// connections count before their handshake.
type Listener struct {
	net.Listener
	config ListenerConfig

	mu      sync.Mutex
	open    int
	each    map[netip.Prefix]int
	refused Refused
}

// Refused counts what was refused since the node started.
type Refused struct {
	Full   uint64 // connections: as many are open as may be
	Host   uint64 // connections: the same of one host
	Header uint64 // connections: a trusted proxy did not say whom it speaks for
}

// Listen returns a listener around another one, which it closes with itself.
func Listen(inner net.Listener, config ListenerConfig) *Listener {
	if config.HeaderTimeout <= 0 {
		config.HeaderTimeout = 5 * time.Second
	}
	return &Listener{Listener: inner, config: config, each: map[netip.Prefix]int{}}
}

// Accept returns the next connection that may be open.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		inner, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: inner, listener: l}
		peer := addressOf(inner.RemoteAddr())
		if !l.enter(peer) {
			_ = inner.Close()
			continue
		}
		trusted := l.config.Proxies.Trust(peer)
		if trusted && l.config.ProxyProtocol {
			c.header = &proxyHeader{}
			return c, nil
		}
		if !trusted && !l.enterHost(c, peer) {
			_ = c.Close()
			continue
		}
		return c, nil
	}
}

// Open returns how many connections are open, and what was refused.
func (l *Listener) Open() (int, Refused) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open, l.refused
}

// enter counts a connection, if there is room for it.
func (l *Listener) enter(peer netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	most := l.config.Most
	if peer.IsLoopback() {
		most += loopbackReserve
	}
	if l.config.Most > 0 && l.open >= most {
		l.refused.Full++
		return false
	}
	l.open++
	return true
}

// enterHost counts a connection as one of its host's, if there is room for it.
func (l *Listener) enterHost(c *conn, address netip.Addr) bool {
	if l.config.MostEach <= 0 || address.IsLoopback() {
		return true
	}
	host := HostOf(address)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.each[host] >= l.config.MostEach {
		l.refused.Host++
		return false
	}
	if c.left { // closed meanwhile
		return false
	}
	l.each[host]++
	c.host = host
	return true
}

func (l *Listener) leave(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.left {
		return
	}
	c.left = true
	l.open--
	if c.host.IsValid() {
		if l.each[c.host]--; l.each[c.host] == 0 {
			delete(l.each, c.host)
		}
	}
}

// conn is a connection that is counted until it is closed.
type conn struct {
	net.Conn
	listener *Listener
	header   *proxyHeader // nil: none is expected

	// These belong to the listener's mutex.
	left bool
	host netip.Prefix
}

// proxyHeader is what a trusted proxy says of a connection. It is read when somebody first wants to know, which is
// whoever serves the connection, so that a proxy which is slow keeps nobody else waiting.
type proxyHeader struct {
	once   sync.Once
	remote net.Addr // nil: the proxy's own
	err    error

	mu       sync.Mutex
	deadline time.Time // that was set for reading
}

// Close closes the connection and makes room for another.
func (c *conn) Close() error {
	c.listener.leave(c)
	return c.Conn.Close()
}

// RemoteAddr returns the client's address, as the proxy tells it when there is one.
func (c *conn) RemoteAddr() net.Addr {
	if c.header == nil {
		return c.Conn.RemoteAddr()
	}
	c.header.once.Do(c.greet)
	if c.header.remote != nil {
		return c.header.remote
	}
	return c.Conn.RemoteAddr()
}

// Read reads what follows the header.
func (c *conn) Read(p []byte) (int, error) {
	if c.header != nil {
		c.header.once.Do(c.greet)
		if c.header.err != nil {
			return 0, c.header.err
		}
	}
	return c.Conn.Read(p)
}

// SetDeadline also keeps the deadline for when the header has been read.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline also keeps the deadline for when the header has been read.
func (c *conn) SetReadDeadline(t time.Time) error {
	if c.header != nil {
		c.header.mu.Lock()
		defer c.header.mu.Unlock()
		c.header.deadline = t
	}
	return c.Conn.SetReadDeadline(t)
}

// greet reads the header and counts the connection as one of the client that it names.
func (c *conn) greet() {
	h, l := c.header, c.listener
	h.mu.Lock()
	_ = c.Conn.SetReadDeadline(time.Now().Add(l.config.HeaderTimeout)) // a closed connection is noticed below
	h.mu.Unlock()
	client, err := readProxyHeader(c.Conn)
	h.mu.Lock()
	_ = c.Conn.SetReadDeadline(h.deadline)
	h.mu.Unlock()
	if err != nil {
		l.mu.Lock()
		l.refused.Header++
		l.mu.Unlock()
		h.err = err
		_ = c.Close()
		return
	}
	if !client.IsValid() {
		return
	}
	h.remote = net.TCPAddrFromAddrPort(client)
	if !l.enterHost(c, client.Addr()) {
		h.err = net.ErrClosed
		_ = c.Close()
	}
}
