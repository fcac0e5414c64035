package postgres

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"broker/providers"
)

// Provider is the provider "postgres". It has no state.
type Provider struct{}

// Open returns a Backend for the server that the settings name. It connects on first use.
func (Provider) Open(s providers.Settings, env providers.Env) (providers.Backend, error) {
	read, err := readSettings(s)
	if err != nil {
		return nil, &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf("opening PostgreSQL connection: %w", err)}
	}
	b := &backend{settings: read, env: env, stock: stock{random: rand.Reader}}
	config, err := b.connConfig(read.database)
	if err != nil {
		return nil, &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf("opening PostgreSQL connection: %w", err)}
	}
	poolConfig, err := pgxpool.ParseConfig(unset)
	if err != nil {
		return nil, &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf("preparing PostgreSQL pool: %w", err)}
	}
	poolConfig.ConnConfig = config
	poolConfig.MaxConns = read.maxConnections
	poolConfig.MaxConnIdleTime = 2 * time.Minute
	poolConfig.MaxConnLifetime = 30 * time.Minute
	poolConfig.MaxConnLifetimeJitter = 5 * time.Minute
	b.ctx, b.cancel = context.WithCancel(context.Background())
	if b.pool, err = pgxpool.NewWithConfig(b.ctx, poolConfig); err != nil {
		b.cancel()
		return nil, &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf("opening PostgreSQL pool: %w", err)}
	}
	b.share()
	return b, nil
}

// backend works on one server for one leadership period.
type backend struct {
	settings settings
	env      providers.Env
	stock    stock
	pool     *pgxpool.Pool
	ctx      context.Context // done when the Backend is closed
	cancel   context.CancelFunc

	sharedCreates queue[*creation]
	loneCreates   queue[*creation]
	ownCreates    queue[*creation] // with users' statements
	renewals      queue[*renewal]

	mu         sync.Mutex
	supplanted bool // the sessions of older terms have been told to end
}

// Close ends every call under way and closes the pool.
func (b *backend) Close() error {
	b.cancel()
	for _, going := range []*sync.WaitGroup{&b.sharedCreates.going, &b.loneCreates.going, &b.ownCreates.going, &b.renewals.going} {
		going.Wait()
	}
	b.stock.close()
	b.pool.Close()
	return nil
}

// bound limits a call by Close and by a time that no call of that many statements needs while the
// server keeps its own limits.
func (b *backend) bound(ctx context.Context, statements int) (context.Context, context.CancelFunc) {
	most := b.settings.connectTimeout + time.Duration(statements)*b.settings.statementTimeout
	ctx, cancel := context.WithTimeout(ctx, most)
	stop := context.AfterFunc(b.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// reach returns a pooled connection to whichever server answers. An error means that nothing was sent.
func (b *backend) reach(ctx context.Context) (*pgxpool.Conn, error) {
	conn, err := b.pool.Acquire(ctx)
	if err != nil {
		return nil, b.connectError(err)
	}
	return conn, nil
}

// acquire returns a pooled connection to the server that is meant. An error means that nothing was
// sent. The first time, it ends the sessions that earlier terms left at the server.
func (b *backend) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	conn, err := b.reach(ctx)
	if err != nil {
		return nil, err
	}
	if err := b.prove(ctx, conn.Conn()); err != nil {
		// Not back to the pool: the next connection may lead to the right server.
		closeQuietly(conn.Conn())
		conn.Release()
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.supplanted && !b.env.ReadOnly {
		// That it fails is no reason not to serve: it only speeds up what other rules make safe.
		b.supplanted = b.supplant(ctx, conn.Conn()) == nil
		if conn.Conn().IsClosed() {
			conn.Release()
			return nil, &providers.Error{Kind: providers.KindUnavailable, NotSent: true,
				Err: fmt.Errorf("connecting to PostgreSQL at %s: connection lost", b.address())}
		}
	}
	return conn, nil
}

// connect opens a connection to another database of the server that is meant.
func (b *backend) connect(ctx context.Context, database string) (*pgx.Conn, error) {
	config, err := b.connConfig(database)
	if err != nil {
		return nil, b.connectError(err)
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, b.connectError(err)
	}
	if err := b.prove(ctx, conn); err != nil {
		closeQuietly(conn)
		return nil, err
	}
	return conn, nil
}

func (b *backend) address() string {
	return fmt.Sprintf("%s:%d", b.settings.host, b.settings.port)
}

// unset is what the driver's configuration is parsed from, with each value that it would otherwise
// take from the process's environment. The real values are set in the result, so that no parse error
// can show them.
const unset = "host=127.0.0.1 port=5432 user=unset password=unset dbname=unset " +
	"sslmode=disable sslnegotiation=postgres channel_binding=prefer target_session_attrs=any"

// connConfig is everything about a connection to one database of the server. Nothing of it comes
// from the process's environment.
func (b *backend) connConfig(database string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(unset)
	if err != nil {
		return nil, fmt.Errorf("preparing PostgreSQL connection: %w", err)
	}
	s := b.settings
	config.Host, config.Port, config.Database = s.host, s.port, database
	config.User, config.Password = s.username, s.password.Reveal()
	config.ConnectTimeout = s.connectTimeout
	config.DialFunc = b.env.Dialer.DialContext
	// The dialer resolves: it decides on the address that it connects to.
	config.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	tlsConfig, orPlain := s.tlsConfig()
	config.TLSConfig, config.Fallbacks = tlsConfig, nil
	if orPlain {
		config.Fallbacks = fallbackWithoutTLS(s.host, s.port)
	}
	// Sent by name in plain protocol and never kept prepared: DDL changes what plans depend on.
	config.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	milliseconds := strconv.FormatInt(s.statementTimeout.Milliseconds(), 10)
	config.RuntimeParams = map[string]string{
		"application_name":                    applicationName(b.env.ClusterID, b.env.Term),
		"client_encoding":                     "UTF8",
		"standard_conforming_strings":         "on",
		"timezone":                            "UTC",
		"statement_timeout":                   milliseconds,
		"lock_timeout":                        strconv.FormatInt(s.lockTimeout().Milliseconds(), 10),
		"idle_in_transaction_session_timeout": milliseconds,
	}
	if b.env.ReadOnly {
		config.RuntimeParams["default_transaction_read_only"] = "on" // the server sees to it as well
		config.AfterConnect = func(_ context.Context, conn *pgconn.PgConn) error {
			conn.CustomData()[readOnly] = true
			return nil
		}
	}
	return config, nil
}

// lockTimeout leaves time to say which statement waited for a lock before the statement's own limit.
func (s settings) lockTimeout() time.Duration {
	return max(s.statementTimeout/2, time.Millisecond)
}
