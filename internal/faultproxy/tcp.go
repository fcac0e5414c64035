package faultproxy

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// Route returns the two directions of a connection or an exchange that somebody began: along which what they send
// goes, and what they get comes back. Nil stands for a way without trouble.
type Route func(from net.Addr) (there, back *Way)

// Direct is the route without trouble.
func Direct(net.Addr) (there, back *Way) { return nil, nil }

// TCP carries connections. Close ends it.
type TCP struct {
	listener net.Listener
	dial     func(context.Context) (net.Conn, error)
	route    Route

	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// NewTCP accepts connections at a listener, which it owns from now on, and carries each to where dial leads.
func NewTCP(listener net.Listener, dial func(context.Context) (net.Conn, error), route Route) *TCP {
	p := &TCP{listener: listener, dial: dial, route: route}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.running.Go(p.accept)
	return p
}

// Close ends all connections and waits until nothing is left of them.
func (p *TCP) Close() error {
	p.cancel()
	err := p.listener.Close()
	p.running.Wait()
	return err
}

func (p *TCP) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.running.Go(func() { p.carry(client) })
	}
}

func (p *TCP) carry(client net.Conn) {
	defer client.Close()
	there, back := p.route(client.RemoteAddr())
	// Both ends have to hear of each other before there is a connection.
	if there.pass(p.ctx) != nil || back.pass(p.ctx) != nil {
		return
	}
	server, err := p.dial(p.ctx)
	if err != nil {
		refuse(client)
		return
	}
	defer server.Close()
	defer context.AfterFunc(p.ctx, func() { _, _ = client.Close(), server.Close() })()
	var both sync.WaitGroup
	both.Go(func() { p.pump(server, client, there) })
	both.Go(func() { p.pump(client, server, back) })
	both.Wait()
}

// refuse ends a connection as a host does where nobody listens.
func refuse(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // it only makes the end more abrupt
	}
}

// piece is what was read at once and when it is due.
type piece struct {
	data []byte
	at   time.Time
	err  error // why it is the last one
}

// onTheWay is how many pieces of one connection are on their way in one direction before the sender has to wait.
const onTheWay = 256

// pump carries one direction until its sender ends it.
func (p *TCP) pump(to, from net.Conn, way *Way) {
	pieces := make(chan piece, onTheWay)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(pieces)
		for {
			buffer := make([]byte, 32<<10)
			n, err := from.Read(buffer)
			select {
			case pieces <- piece{buffer[:n], time.Now().Add(way.drawReliably()), err}:
			case <-p.ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	})
	defer reading.Wait()
	for one := range pieces {
		if !sleep(p.ctx, time.Until(one.at)) || way.pass(p.ctx) != nil {
			break
		}
		if len(one.data) > 0 {
			if _, err := to.Write(one.data); err != nil {
				_ = from.Close() // whoever sends hears that nobody listens any more
				break
			}
		}
		if one.err != nil {
			end(to, one.err)
		}
	}
	for range pieces {
		// The reader may wait for a place in the queue.
	}
}

// end passes on how a direction ended.
func end(to net.Conn, why error) {
	if half, ok := to.(interface{ CloseWrite() error }); ok && errors.Is(why, io.EOF) {
		_ = half.CloseWrite() // an end that is gone needs no goodbye
		return
	}
	refuse(to)
	_ = to.Close()
}

// sleep waits and reports whether the context still lives.
func sleep(ctx context.Context, length time.Duration) bool {
	if length <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
