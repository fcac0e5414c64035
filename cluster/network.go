package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// The protocols spoken between nodes. They share one port.
const (
	ProtocolRaft    = "raft/1"
	ProtocolForward = "forward/1" // requests of clients, on their way to the leader
	ProtocolPeer    = "peer/1"    // questions of the nodes themselves, kept apart from what clients send
	ProtocolJoin    = "join/1"
)

// A Network carries connections between nodes. A connection belongs to one
// protocol and one cluster; only ProtocolJoin may be dialed with an empty
// cluster id, by a node that does not know it yet. Implementations are safe for
// concurrent use.
type Network interface {
	// Listen opens address for members of the cluster.
	Listen(address, clusterID string) (Port, error)
	// Dial connects to a node's cluster address. It returns an error wrapping
	// ErrForeignCluster when that node belongs to another cluster.
	Dial(ctx context.Context, address, protocol, clusterID string) (net.Conn, error)
}

// A Port is a cluster address that is listened at.
type Port interface {
	// Addr is the address listened at.
	Addr() net.Addr
	// Protocol returns the listener of one protocol, always the same.
	Protocol(name string) net.Listener
	// Close closes the address, its listeners and the connections that nobody
	// accepted.
	Close() error
}

const (
	preambleMagic    = "brk1"
	preambleTimeout  = 5 * time.Second
	maxProtocolLen   = 32
	maxClusterIDLen  = 128
	preambleAccepted = 0
	preambleForeign  = 1
	preambleRefused  = 2
)

// PlainTCP is a Network over unencrypted TCP. A short preamble names protocol
// and cluster; it keeps honest nodes from mistakes and dishonest ones from
// nothing.
type PlainTCP struct{}

// Dial connects and announces protocol and cluster.
func (PlainTCP) Dial(ctx context.Context, address, protocol, clusterID string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if err := announce(ctx, conn, protocol, clusterID); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("opening %s at %s: %w", protocol, address, err)
	}
	return conn, nil
}

// announce writes the preamble and reads the verdict: a byte, and unless that
// is preambleAccepted a sentence with its length before it.
func announce(ctx context.Context, conn net.Conn, protocol, clusterID string) error {
	deadline := time.Now().Add(preambleTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	msg := append([]byte(preambleMagic), byte(len(protocol)), byte(len(clusterID)))
	msg = append(append(msg, protocol...), clusterID...)
	if _, err := conn.Write(msg); err != nil {
		return err
	}
	var head [3]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return err
	}
	reason := make([]byte, min(binary.BigEndian.Uint16(head[1:]), 1024))
	if _, err := io.ReadFull(conn, reason); err != nil {
		return err
	}
	if !stop() {
		return context.Cause(ctx)
	}
	switch head[0] {
	case preambleAccepted:
		return conn.SetDeadline(time.Time{})
	case preambleForeign:
		return fmt.Errorf("%w: %s", ErrForeignCluster, reason)
	default:
		return errors.New(string(reason))
	}
}

// Listen opens a TCP address and sorts what connects by protocol.
func (PlainTCP) Listen(address, clusterID string) (Port, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	p := &plainPort{
		clusterID: clusterID,
		listener:  l,
		protocols: make(map[string]*protocolListener),
		open:      make(map[net.Conn]struct{}),
	}
	for _, name := range []string{ProtocolRaft, ProtocolForward, ProtocolPeer, ProtocolJoin} {
		p.protocols[name] = &protocolListener{
			addr:  l.Addr(),
			conns: make(chan net.Conn),
			done:  make(chan struct{}),
		}
	}
	p.workers.Go(p.accept)
	return p, nil
}

// plainPort is a listening TCP address whose connections are sorted by their
// preamble.
type plainPort struct {
	clusterID string
	listener  net.Listener
	protocols map[string]*protocolListener
	workers   sync.WaitGroup

	mu     sync.Mutex
	closed bool
	open   map[net.Conn]struct{} // in their preamble or not yet accepted
}

func (p *plainPort) Addr() net.Addr { return p.listener.Addr() }

func (p *plainPort) Protocol(name string) net.Listener { return p.protocols[name] }

func (p *plainPort) Close() error {
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

func (p *plainPort) accept() {
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
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			_ = conn.Close()
			return
		}
		p.open[conn] = struct{}{}
		p.mu.Unlock()
		p.workers.Go(func() { p.sort(conn) })
	}
}

// sort reads the preamble of conn and passes it to the listener it asks for.
func (p *plainPort) sort(conn net.Conn) {
	l, err := p.greet(conn)
	if err == nil {
		err = l.deliver(conn)
	}
	p.mu.Lock()
	delete(p.open, conn)
	p.mu.Unlock()
	if err != nil {
		_ = conn.Close()
	}
}

func (p *plainPort) greet(conn net.Conn) (*protocolListener, error) {
	if err := conn.SetDeadline(time.Now().Add(preambleTimeout)); err != nil {
		return nil, err
	}
	var head [len(preambleMagic) + 2]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return nil, err
	}
	protoLen, idLen := int(head[4]), int(head[5])
	if string(head[:4]) != preambleMagic || protoLen > maxProtocolLen || idLen > maxClusterIDLen {
		return nil, errors.New("not a preamble")
	}
	rest := make([]byte, protoLen+idLen)
	if _, err := io.ReadFull(conn, rest); err != nil {
		return nil, err
	}
	protocol, clusterID := string(rest[:protoLen]), string(rest[protoLen:])

	l, known := p.protocols[protocol]
	switch {
	case !known:
		return nil, answer(conn, preambleRefused, fmt.Sprintf("protocol %q is not spoken here", protocol))
	case clusterID != p.clusterID && !(protocol == ProtocolJoin && clusterID == ""):
		return nil, answer(conn, preambleForeign, fmt.Sprintf("this is a node of cluster %s, not of %s", p.clusterID, clusterID))
	}
	if err := answer(conn, preambleAccepted, ""); err != nil {
		return nil, err
	}
	return l, conn.SetDeadline(time.Time{})
}

// answer sends the verdict. A verdict other than preambleAccepted is returned
// as an error too.
func answer(conn net.Conn, verdict byte, reason string) error {
	msg := binary.BigEndian.AppendUint16([]byte{verdict}, uint16(len(reason)))
	if _, err := conn.Write(append(msg, reason...)); err != nil {
		return err
	}
	if verdict != preambleAccepted {
		return errors.New(reason)
	}
	return nil
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
