package cluster

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// forwardConns carries requests to the leader over kept connections, one request at a time on each.
// Whoever makes a request writes it and reads the answer: with http.Transport each would pass through
// two goroutines more, which costs more than the rest of it.
type forwardConns struct {
	dial  func(ctx context.Context, address string) (net.Conn, error)
	slots chan struct{} // one for each request under way

	mu     sync.Mutex
	idle   map[string][]*forwardConn // by address; the one used last comes last
	epoch  uint64                    // grows when all that are idle are dropped
	closed bool
}

// forwardConn is one connection to a leader.
type forwardConn struct {
	net.Conn
	address string
	in      *bufio.Reader
	out     *bufio.Writer
	usedAt  time.Time
	epoch   uint64 // in which it was made
}

func newForwardConns(dial func(ctx context.Context, address string) (net.Conn, error)) *forwardConns {
	return &forwardConns{dial: dial, slots: make(chan struct{}, maxForwards), idle: make(map[string][]*forwardConn)}
}

// RoundTrip sends a request to the host of its URL. The answer's body must be closed. An error that is no
// *dialError leaves open whether the request arrived.
func (f *forwardConns) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	if req.Body != nil {
		defer func() { _ = req.Body.Close() }()
	}
	select {
	case f.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, &dialError{context.Cause(ctx)}
	}
	conn, err := f.take(ctx, req.URL.Host)
	if err != nil {
		<-f.slots
		return nil, err
	}
	// The end of the request ends what the connection waits for.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	res, err := conn.exchange(req)
	if err != nil {
		stop()
		_ = conn.Close()
		<-f.slots
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	res.Body = &forwardBody{ReadCloser: res.Body, end: func(whole bool) {
		if stop() && whole && !res.Close && conn.in.Buffered() == 0 {
			f.put(conn)
		} else {
			_ = conn.Close()
		}
		<-f.slots
	}}
	return res, nil
}

// exchange writes a request and reads the head of its answer.
func (c *forwardConn) exchange(req *http.Request) (*http.Response, error) {
	if err := req.Write(c.out); err != nil {
		return nil, err
	}
	if err := c.out.Flush(); err != nil {
		return nil, err
	}
	for {
		res, err := http.ReadResponse(c.in, req)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil || res.StatusCode >= http.StatusOK {
			return res, err
		}
	}
}

// forwardBody gives the connection back once the answer was read to its end, and closes it otherwise.
type forwardBody struct {
	io.ReadCloser
	end   func(whole bool)
	ended bool
}

// Read reads the answer.
func (b *forwardBody) Read(p []byte) (int, error) {
	if b.ended {
		return 0, io.EOF
	}
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.finish(errors.Is(err, io.EOF))
	}
	return n, err
}

// Close lets go of the connection.
func (b *forwardBody) Close() error {
	b.finish(b.ReadCloser == http.NoBody)
	return nil
}

func (b *forwardBody) finish(whole bool) {
	if !b.ended {
		b.ended = true
		b.end(whole)
	}
}

// take returns an idle connection that the other side has not closed, or a new one.
func (f *forwardConns) take(ctx context.Context, address string) (*forwardConn, error) {
	for {
		conn := f.pop(address)
		if conn == nil {
			break
		}
		if time.Since(conn.usedAt) < idleTimeout/2 && quiet(conn.Conn) { // the other side closes it later than that
			return conn, nil
		}
		_ = conn.Close()
	}
	f.mu.Lock()
	epoch := f.epoch
	f.mu.Unlock()
	conn, err := f.dial(ctx, address)
	if err != nil {
		return nil, err
	}
	return &forwardConn{Conn: conn, address: address, epoch: epoch, in: bufio.NewReader(conn), out: bufio.NewWriter(conn)}, nil
}

func (f *forwardConns) pop(address string) *forwardConn {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := f.idle[address]
	if len(list) == 0 {
		return nil
	}
	last := len(list) - 1
	conn := list[last]
	list[last] = nil
	f.idle[address] = list[:last]
	return conn
}

// put keeps a connection for the next request.
func (f *forwardConns) put(conn *forwardConn) {
	conn.usedAt = time.Now()
	f.mu.Lock()
	list := f.idle[conn.address]
	keep := !f.closed && conn.epoch == f.epoch && len(list) < maxIdleForwards
	if keep {
		f.idle[conn.address] = append(list, conn)
	}
	f.mu.Unlock()
	if !keep {
		_ = conn.Close()
	}
}

// drop closes the idle connections; those in use are closed when they would become idle. It is called
// when another leader reigns: a machine that lost its power said no goodbye, and connections to it look
// as if they lived.
func (f *forwardConns) drop() { f.dropAll(false) }

// close is drop for good.
func (f *forwardConns) close() { f.dropAll(true) }

func (f *forwardConns) dropAll(closed bool) {
	f.mu.Lock()
	idle := f.idle
	f.idle = make(map[string][]*forwardConn)
	f.epoch++
	f.closed = f.closed || closed
	f.mu.Unlock()
	for _, list := range idle {
		for _, conn := range list {
			_ = conn.Close()
		}
	}
}
