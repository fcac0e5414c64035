package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"broker/providers"
)

// idleTimeout is how long a session waits for its next use.
const idleTimeout = 2 * time.Minute

// quiet keeps the driver from writing lines of its own to standard error: what matters comes back as an error.
var quiet = sync.OnceFunc(logging.Disable)

// errLost is what a session says whose connection was gone before anything was sent.
var errLost = errors.New("connection lost")

// session is one connection to the server that has logged in as the root account. It is used by one call at a time.
type session struct {
	*redis.Client
	raw     net.Conn // below TLS, if there is any
	usedAt  time.Time
	proven  bool    // its server is the one that is meant
	version version // of its server, once proven
}

// close ends the connection; what waits for an answer fails.
func (s *session) close() {
	_ = s.raw.Close()
	_ = s.Client.Close()
}

// acquire hands out a session at the server that is meant. An error means that nothing was sent but a log-in. A call
// that is given up ends the session's connection. The caller calls release once.
func (b *backend) acquire(ctx context.Context) (s *session, release func(), err error) {
	return b.acquireBy(ctx, b.turns)
}

// acquireBy is acquire with a turn of its own kind.
func (b *backend) acquireBy(ctx context.Context, turns chan struct{}) (s *session, release func(), err error) {
	s, release, err = b.reach(ctx, turns)
	if err != nil || s.proven {
		return s, release, err
	}
	if err := b.prove(ctx, s); err != nil {
		s.close()
		release()
		return nil, nil, err
	}
	return s, release, nil
}

// reach hands out a session at whichever server answers.
func (b *backend) reach(ctx context.Context, turns chan struct{}) (s *session, release func(), err error) {
	if ctx.Err() == nil { // else the choice below is luck
		select {
		case turns <- struct{}{}:
		case <-ctx.Done():
			return nil, nil, &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Busy: true,
				Err: fmt.Errorf("waiting for a connection to Redis at %s: %w", b.settings.address(), ctx.Err())}
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: fmt.Errorf("connecting to Redis at %s: %w", b.settings.address(), err)}
	}
	if s = b.takeIdle(); s == nil {
		if s, err = b.logIn(ctx, b.settings.username, b.settings.password); err == nil {
			err = b.nameSession(ctx, s)
		}
		if err != nil {
			<-turns
			return nil, nil, err
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = s.raw.Close() })
	return s, func() {
		if stop() && s.PoolStats().TotalConns > 0 {
			b.giveBack(s)
		} else {
			s.close()
		}
		<-turns
	}, nil
}

// nameSession lets a rotation tell the sessions of this Backend from others of the root account.
func (b *backend) nameSession(ctx context.Context, s *session) error {
	err := s.Do(ctx, "CLIENT", "SETNAME", b.name).Err()
	if err == nil {
		return nil
	}
	s.close()
	return &providers.Error{Kind: replyError("", err).Kind, NotSent: true, Hint: replyError("", err).Hint,
		Err: fmt.Errorf("connecting to Redis at %s: naming the session: %w", b.settings.address(), err)}
}

// takeIdle returns the session used last whose connection still stands, or nil.
func (b *backend) takeIdle() *session {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.idle) > 0 {
		s := b.idle[len(b.idle)-1]
		b.idle = b.idle[:len(b.idle)-1]
		if time.Since(s.usedAt) < idleTimeout && !ended(s) {
			return s
		}
		s.close()
	}
	return nil
}

func (b *backend) giveBack(s *session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.usedAt = time.Now()
	b.idle = append(b.idle, s)
	// Those at the front have waited longest.
	b.idle = slices.DeleteFunc(b.idle, func(s *session) bool {
		if b.ctx.Err() == nil && time.Since(s.usedAt) < idleTimeout {
			return false
		}
		s.close()
		return true
	})
}

// ended reports whether the other side has closed an idle connection, or said something unasked.
func ended(s *session) bool {
	socket, ok := s.raw.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return true
	}
	_ = s.raw.SetReadDeadline(time.Time{}) // that of the last answer
	silent := false
	err = raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		silent = errors.Is(err, syscall.EAGAIN)
		return true
	})
	return err != nil || !silent
}

// logIn connects and logs in. An error means that nothing was sent but the log-in.
func (b *backend) logIn(ctx context.Context, username string, password providers.Secret) (*session, error) {
	raw, conn, err := b.dial(ctx)
	if err != nil {
		return nil, b.connectError(err)
	}
	quiet()
	var given atomic.Bool
	s := &session{raw: raw, Client: redis.NewClient(&redis.Options{
		Dialer: func(context.Context, string, string) (net.Conn, error) {
			if given.Swap(true) {
				return nil, errLost
			}
			return conn, nil
		},
		Username: username, Password: password.Reveal(),
		Protocol:    2, // answers of one form for all versions
		DB:          0, // where the guards of creates are
		ReadTimeout: b.settings.commandTimeout, WriteTimeout: b.settings.commandTimeout, ContextTimeoutEnabled: true,
		// One connection, and every command at most once.
		PoolSize: 1, PipelinePoolSize: -1, MaxRetries: -1, DialerRetries: 1, ConnMaxIdleTime: -1,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})}
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
	// ACL WHOAMI needs a permission that the root account has; a leased user without it has logged in all the same.
	if err := s.Do(ctx, "ACL", "WHOAMI").Err(); err != nil && !isReply(err, "NOPERM") {
		s.close()
		return nil, b.logInError(ctx, username, err)
	}
	return s, nil
}

// dial connects, and secures the connection when it is to be.
func (b *backend) dial(ctx context.Context) (raw, conn net.Conn, err error) {
	ctx, cancel := context.WithTimeout(ctx, b.settings.connectTimeout)
	defer cancel()
	raw, err = b.env.Dialer.DialContext(ctx, "tcp", b.settings.address())
	if err != nil || b.settings.tls == nil {
		return raw, raw, err
	}
	secured := tls.Client(raw, b.settings.tls)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, nil, tlsError{err}
	}
	return raw, secured, nil
}
