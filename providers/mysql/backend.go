package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"io"
	"log"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"

	"broker/providers"
)

// Provider is the provider "mysql". It has no state.
type Provider struct{}

// Open returns a Backend for the server that the settings name. It connects on first use.
func (Provider) Open(s providers.Settings, env providers.Env) (providers.Backend, error) {
	refuse := func(err error) (providers.Backend, error) {
		return nil, &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf("opening MySQL connection: %w", err)}
	}
	read, err := readSettings(s)
	if err != nil {
		return refuse(err)
	}
	b := &backend{settings: read, env: env}
	root, err := b.connector(read.username, read.password, "")
	if err != nil {
		return refuse(err)
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.pool = sql.OpenDB(root)
	b.pool.SetMaxOpenConns(read.maxConnections)
	b.pool.SetMaxIdleConns(read.maxConnections)
	b.pool.SetConnMaxIdleTime(2 * time.Minute)
	b.pool.SetConnMaxLifetime(30 * time.Minute)
	return b, nil
}

// backend works on one server for one leadership period.
type backend struct {
	settings settings
	env      providers.Env
	pool     *sql.DB
	ctx      context.Context // done when the Backend is closed
	cancel   context.CancelFunc

	sessions sync.Map // the ids that the server gave to sessions of this Backend

	mariaDB atomic.Bool  // what answered last, so that it is asked in its own words
	marker  atomic.Value // string: the role by which MariaDB's logins are known as the cluster's; "" when it has to be looked for
}

// Close ends every call under way and closes the pool.
func (b *backend) Close() error {
	b.cancel()
	return b.pool.Close()
}

// bound limits a call by Close and by a time that no call of that many statements needs while the server keeps its own
// limits.
func (b *backend) bound(ctx context.Context, statements int) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, b.settings.connectTimeout+time.Duration(statements)*b.settings.statementTimeout)
	stop := context.AfterFunc(b.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// connector makes connections of an account to the server. Nothing of it comes from the process's environment.
func (b *backend) connector(username string, password providers.Secret, database string) (driver.Connector, error) {
	config := mysql.NewConfig()
	config.Net, config.Addr = "tcp", b.settings.address()
	config.User, config.Passwd, config.DBName = username, password.Reveal(), database
	config.TLS = b.settings.tls
	config.DialFunc = b.env.Dialer.DialContext
	config.Logger = log.New(io.Discard, "", 0) // what matters comes back as an error
	config.ConnectionAttributes = "program_name:broker,broker_cluster:" + plain(b.env.ClusterID) + ",broker_term:" + strconv.FormatUint(b.env.Term, 10)
	seconds := strconv.Itoa(int(max(b.settings.statementTimeout.Round(time.Second)/time.Second, 1)))
	config.Params = map[string]string{
		"autocommit":        "1",
		"sql_mode":          "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'", // quoteString and scanner rely on what is not in it
		"time_zone":         "'+00:00'",
		"lock_wait_timeout": seconds,
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, fmt.Errorf("preparing a connection: %w", err)
	}
	return timely{connector, b.settings.connectTimeout}, nil
}

// timely bounds the log-in too, and not only the dialing.
type timely struct {
	driver.Connector
	timeout time.Duration
}

func (t timely) Connect(ctx context.Context) (driver.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	return t.Connector.Connect(ctx)
}

// plain leaves of an id what needs no care anywhere.
func plain(id string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, id)
}

// ours refuses names that another cluster or a person may have given. Whoever holds the root account can remove every
// account of the server; the broker touches its own only.
func (b *backend) ours(name providers.LoginName) error {
	refuse := func(reason string) error {
		return &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf("refusing account name %q: %s", string(name), reason)}
	}
	switch {
	case name == "" || len(name) > maxLoginName:
		return refuse(fmt.Sprintf("it is empty or longer than %d bytes", maxLoginName))
	case b.env.Prefix == "":
		return refuse("the backend was opened without a prefix and so has no logins")
	case !strings.HasPrefix(string(name), b.env.Prefix):
		return refuse(fmt.Sprintf("it does not begin with %q", b.env.Prefix))
	case string(name) == b.settings.username:
		return refuse("it is the root account")
	case strings.ContainsRune(string(name), 0):
		return refuse("it holds a NUL character")
	}
	return nil
}

// sorted returns the logins to work on, each once and in the order of names, and the answers for the others.
func (b *backend) sorted(logins []providers.Login) ([]providers.Login, map[providers.LoginName]error) {
	answers := make(map[providers.LoginName]error, len(logins))
	var todo []providers.Login
	for _, login := range logins {
		if err := b.ours(login.Name); err != nil {
			answers[login.Name] = err
			continue
		}
		todo = append(todo, login)
	}
	slices.SortFunc(todo, func(x, y providers.Login) int { return strings.Compare(string(x.Name), string(y.Name)) })
	return slices.CompactFunc(todo, func(x, y providers.Login) bool { return x.Name == y.Name }), answers
}

// mayChange refuses to change anything when the Backend may only look.
func (b *backend) mayChange() error {
	if !b.env.ReadOnly {
		return nil
	}
	return &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf("nothing may be changed at %s: the broker only looks", b.settings.address())}
}

// failAll answers the same error for every login that has no answer yet.
func failAll(answers map[providers.LoginName]error, logins []providers.Login, err error) {
	for _, login := range logins {
		if _, answered := answers[login.Name]; !answered {
			answers[login.Name] = err
		}
	}
}

func namesOf(logins []providers.Login) []string {
	names := make([]string, len(logins))
	for i, login := range logins {
		names[i] = string(login.Name)
	}
	return names
}
