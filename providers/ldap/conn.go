package ldap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"broker/providers"
)

// longestAnswer is how much the server may send in answer to one operation, in bytes.
const longestAnswer = 16 << 20

var errAnswerTooLong = errors.New("the answer is longer than 16 MiB")

// conn is a connection of the root account. One call has it at a time.
type conn struct {
	*goldap.Conn
	wire   *bounded
	proven bool // it leads to the system that is meant
	broken bool // an operation had no answer
	idleAt time.Time
	detach func() bool // it from the context of the call that has it
}

// bounded is a network connection that gives up on answers that go on without end.
type bounded struct {
	net.Conn
	left atomic.Int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.Conn.Read(p)
	if err == nil && b.left.Add(-int64(n)) < 0 {
		return n, errAnswerTooLong
	}
	return n, err
}

// dial connects, protects the connection as the settings say, and leaves it without a bind. The caller closes its wire.
func (b *backend) dial(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, b.settings.connectTimeout)
	defer cancel()
	dialed, err := b.env.Dialer.DialContext(ctx, "tcp", b.settings.address())
	if err != nil {
		return nil, err
	}
	wire := &bounded{Conn: dialed}
	wire.left.Store(longestAnswer)
	c, err := b.protect(ctx, wire)
	if err != nil {
		wire.Close()
		return nil, err
	}
	return c, nil
}

func (b *backend) protect(ctx context.Context, wire *bounded) (*conn, error) {
	s := b.settings
	if s.tls != nil && !s.startTLS {
		protected := tls.Client(wire, s.tls)
		if err := protected.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("%w: %w", errHandshake, err)
		}
		return b.speak(protected, wire, true), nil
	}
	c := b.speak(wire, wire, false)
	if s.tls == nil {
		return c, nil
	}
	// The library knows no contexts: what is in the way of a call that is over is its connection.
	defer context.AfterFunc(ctx, func() { wire.Close() })()
	if err := c.StartTLS(s.tls); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("%w: %w", errHandshake, err)
	}
	return c, nil
}

func (b *backend) speak(over net.Conn, wire *bounded, encrypted bool) *conn {
	c := &conn{Conn: goldap.NewConn(over, encrypted), wire: wire}
	c.SetTimeout(b.settings.timeout)
	c.Start()
	return c
}

// bind logs in with a password on a connection of its own, and out again.
func (b *backend) bind(ctx context.Context, dn string, password providers.Secret) error {
	c, err := b.dial(ctx)
	if err != nil {
		return err
	}
	defer c.wire.Close()
	defer context.AfterFunc(ctx, func() { c.wire.Close() })()
	return c.Bind(dn, password.Reveal())
}

// connect opens a connection of the root account.
func (b *backend) connect(ctx context.Context) (*conn, error) {
	c, err := b.dial(ctx)
	if err != nil {
		return nil, b.connectError(ctx, err)
	}
	stop := context.AfterFunc(ctx, func() { c.wire.Close() })
	defer stop()
	if err := c.Bind(b.settings.bindDN, b.settings.bindPassword.Reveal()); err != nil {
		c.wire.Close()
		return nil, b.connectError(ctx, err)
	}
	return c, nil
}

// failed classifies the error of an operation on the connection.
func (b *backend) failed(ctx context.Context, c *conn, err error, format string, args ...any) *providers.Error {
	if result(err) == nil {
		c.broken = true
	}
	return b.operationError(ctx, fmt.Sprintf(format, args...), err)
}
