package ldap

import (
	"context"
	"fmt"
	"sync"
	"time"

	"broker/providers"
)

// longestIdle is how long a connection is kept without use. Directories and what stands before them end idle ones.
const longestIdle = time.Minute

// pool keeps the root account's connections.
type pool struct {
	turns chan struct{} // one for each connection there may be

	mu     sync.Mutex
	idle   []*conn
	used   map[*conn]bool
	closed bool
}

func newPool(most int) *pool {
	return &pool{turns: make(chan struct{}, most), used: map[*conn]bool{}}
}

// close ends every connection, those in use as well.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.idle {
		c.wire.Close()
	}
	p.idle = nil
	for c := range p.used {
		c.wire.Close()
	}
}

// take returns an idle connection that still stands, or nil.
func (p *pool) take() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 {
		c := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if !c.IsClosing() && time.Since(c.idleAt) < longestIdle {
			p.used[c] = true
			return c
		}
		c.wire.Close()
	}
	return nil
}

// hold notes a new connection as used; false when the pool was closed meanwhile.
func (p *pool) hold(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.wire.Close()
		return false
	}
	p.used[c] = true
	return true
}

func (p *pool) giveBack(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.used, c)
	if p.closed || c.broken || c.IsClosing() {
		c.wire.Close()
		return
	}
	c.idleAt = time.Now()
	p.idle = append(p.idle, c)
}

// reach returns a connection to whichever directory answers. An error means that nothing was sent. The caller releases
// the connection; when ctx is done before, it is closed.
func (b *backend) reach(ctx context.Context) (*conn, error) {
	over := func(err error) error {
		return &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: fmt.Errorf("connecting to the directory at %s: %w", b.settings.address(), err)}
	}
	if err := ctx.Err(); err != nil {
		return nil, over(err)
	}
	select {
	case b.pool.turns <- struct{}{}:
	case <-ctx.Done():
		return nil, &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Busy: true, Err: fmt.Errorf("waiting for a connection to the directory at %s: %w", b.settings.address(), ctx.Err())}
	}
	c := b.pool.take()
	if c == nil {
		var err error
		if c, err = b.connect(ctx); err != nil {
			<-b.pool.turns
			return nil, err
		}
		if !b.pool.hold(c) {
			<-b.pool.turns
			return nil, over(context.Canceled)
		}
	}
	c.wire.left.Store(longestAnswer)
	c.detach = context.AfterFunc(ctx, func() { c.wire.Close() })
	return c, nil
}

// release gives a connection back.
func (b *backend) release(c *conn) {
	if !c.detach() {
		c.broken = true // the context's end is closing it
	}
	b.pool.giveBack(c)
	<-b.pool.turns
}

// acquire returns a connection to the directory that is meant. An error means that nothing was sent.
func (b *backend) acquire(ctx context.Context) (*conn, error) {
	c, err := b.reach(ctx)
	if err != nil {
		return nil, err
	}
	if c.proven {
		return c, nil
	}
	if err := b.prove(ctx, c); err != nil {
		c.broken = true // the next connection may lead to the right directory
		b.release(c)
		return nil, err
	}
	c.proven = true
	return c, nil
}
