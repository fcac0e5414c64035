package faultproxy

import (
	"context"
	"net"
	"sync"
	"time"
)

// UDP carries datagrams. Close ends it.
type UDP struct {
	outside *net.UDPConn
	target  *net.UDPAddr
	route   Route

	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu        sync.Mutex
	exchanges map[string]*exchange // by the address of whoever began it
}

// exchange is what one sender says to the target and gets back.
type exchange struct {
	from        net.Addr
	inside      *net.UDPConn
	there, back *Way
}

// NewUDP takes datagrams at a socket, which it owns from now on, and carries them to the target, whose answers go
// back to the sender.
func NewUDP(outside *net.UDPConn, target *net.UDPAddr, route Route) *UDP {
	p := &UDP{outside: outside, target: target, route: route, exchanges: map[string]*exchange{}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.running.Go(p.listen)
	return p
}

// Close ends all exchanges and waits until nothing is left of them.
func (p *UDP) Close() error {
	p.cancel()
	err := p.outside.Close()
	p.mu.Lock()
	for _, e := range p.exchanges {
		_ = e.inside.Close() // nothing is kept in it
	}
	p.mu.Unlock()
	p.running.Wait()
	return err
}

const longestDatagram = 64 << 10

func (p *UDP) listen() {
	buffer := make([]byte, longestDatagram)
	for p.ctx.Err() == nil {
		n, from, err := p.outside.ReadFromUDP(buffer)
		if err != nil {
			continue // closed, or the news that an earlier datagram did not arrive
		}
		e, err := p.exchangeWith(from)
		if err != nil {
			continue // as good as lost
		}
		p.send(e.there, buffer[:n], func(data []byte) { _, _ = e.inside.Write(data) })
	}
}

// exchangeWith returns the exchange that a sender began, or begins it.
func (p *UDP) exchangeWith(from *net.UDPAddr) (*exchange, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e, known := p.exchanges[from.String()]; known {
		return e, nil
	}
	if p.ctx.Err() != nil {
		return nil, p.ctx.Err()
	}
	inside, err := net.DialUDP("udp", nil, p.target)
	if err != nil {
		return nil, err
	}
	e := &exchange{from: from, inside: inside}
	e.there, e.back = p.route(from)
	p.exchanges[from.String()] = e
	p.running.Go(func() { p.answer(e) })
	return e, nil
}

func (p *UDP) answer(e *exchange) {
	buffer := make([]byte, longestDatagram)
	for p.ctx.Err() == nil {
		n, err := e.inside.Read(buffer)
		if err != nil {
			continue // closed, or nobody listens at the target now
		}
		p.send(e.back, buffer[:n], func(data []byte) { _, _ = p.outside.WriteTo(data, e.from) })
	}
}

// send passes a datagram on, late or never as the way has it.
func (p *UDP) send(way *Way, data []byte, pass func([]byte)) {
	late, lost := way.draw()
	switch {
	case lost || way.cut() != nil:
	case late == 0:
		pass(data)
	default:
		data = append([]byte(nil), data...)
		at := time.Now().Add(late)
		p.running.Go(func() {
			if sleep(p.ctx, time.Until(at)) && way.cut() == nil {
				pass(data)
			}
		})
	}
}
