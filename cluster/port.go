package cluster

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// How many connections may be on their way to saying who they are: of everybody, and of one address, so
// that one host cannot keep the others out.
const (
	maxGreetings     = 256
	maxGreetingsEach = 64
)

// hostOf returns what counts as one host: an address of IPv4, a network of 64 bits of IPv6. What cannot be told
// apart counts as one.
func hostOf(conn net.Conn) netip.Prefix {
	address, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return netip.Prefix{}
	}
	ip := address.Addr().Unmap()
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	prefix, _ := ip.Prefix(bits) // it fails for more bits than there are only
	return prefix
}

// listenSorting opens a TCP address.
func listenSorting(address string, greet func(net.Conn) (net.Conn, string, error)) (*sortingPort, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	p := &sortingPort{
		greet:     greet,
		greeting:  make(map[netip.Prefix]int),
		listener:  l,
		protocols: make(map[string]*protocolListener),
		open:      make(map[net.Conn]struct{}),
	}
	for _, name := range protocols {
		p.protocols[name] = &protocolListener{
			addr:  l.Addr(),
			conns: make(chan net.Conn),
			done:  make(chan struct{}),
		}
	}
	p.workers.Go(p.accept)
	return p, nil
}

// sortingPort is a listening TCP address whose connections are sorted by the
// protocol they ask for.
type sortingPort struct {
	// greet finds out what a new connection is for, and whether it may. It returns
	// the connection to use from then on.
	greet     func(net.Conn) (conn net.Conn, protocol string, err error)
	listener  net.Listener
	protocols map[string]*protocolListener
	workers   sync.WaitGroup

	mu     sync.Mutex
	closed bool
	open   map[net.Conn]struct{} // being greeted or not yet accepted

	// Those that have not said yet who they are: how many from each host, and all in the order they came.
	greeting  map[netip.Prefix]int
	greetings []net.Conn
}

func (p *sortingPort) Addr() net.Addr { return p.listener.Addr() }

func (p *sortingPort) Protocol(name string) net.Listener { return p.protocols[name] }

func (p *sortingPort) Close() error {
	p.mu.Lock()
	p.closed = true
	for conn := range p.open {
		_ = conn.Close()
	}
	p.mu.Unlock()
	err := p.listener.Close()
	for _, l := range p.protocols {
		_ = l.Close()
	}
	p.workers.Wait()
	return err
}

func (p *sortingPort) accept() {
	for {
		conn, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Out of file descriptors, most likely: give others time to close some.
			time.Sleep(10 * time.Millisecond)
			continue
		}
		host := hostOf(conn)
		p.mu.Lock()
		if p.closed || p.greeting[host] == maxGreetingsEach {
			// A member that is turned away tries again.
			p.mu.Unlock()
			_ = conn.Close()
			continue
		}
		if len(p.greetings) == maxGreetings {
			// Who is honest is done in milliseconds: whoever has been at it for longest makes room.
			_ = p.greetings[0].Close()
			p.greetings = p.greetings[1:]
		}
		p.open[conn] = struct{}{}
		p.greeting[host]++
		p.greetings = append(p.greetings, conn)
		p.mu.Unlock()
		p.workers.Go(func() { p.sort(conn, host) })
	}
}

// sort greets conn and passes it to the listener it asks for.
func (p *sortingPort) sort(conn net.Conn, host netip.Prefix) {
	greeted, protocol, err := p.greet(conn)
	p.mu.Lock()
	p.greetings = slices.DeleteFunc(p.greetings, func(one net.Conn) bool { return one == conn })
	if p.greeting[host]--; p.greeting[host] == 0 {
		delete(p.greeting, host)
	}
	p.mu.Unlock()
	if err == nil {
		err = p.protocols[protocol].deliver(greeted)
	}
	p.mu.Lock()
	delete(p.open, conn)
	p.mu.Unlock()
	if err != nil {
		if greeted != nil {
			_ = greeted.Close()
		}
		_ = conn.Close()
	}
}

// protocolListener hands out the connections of one protocol.
type protocolListener struct {
	addr  net.Addr
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (l *protocolListener) deliver(conn net.Conn) error {
	select {
	case l.conns <- conn:
		return nil
	case <-l.done:
		return net.ErrClosed
	}
}

func (l *protocolListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *protocolListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *protocolListener) Addr() net.Addr { return l.addr }
