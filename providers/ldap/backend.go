package ldap

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"broker/providers"
)

// Provider is the provider "ldap". It has no state.
type Provider struct{}

// Open returns a Backend for the directory that the settings name. It connects on first use.
func (Provider) Open(s providers.Settings, env providers.Env) (providers.Backend, error) {
	read, err := readSettings(s)
	if err != nil {
		return nil, &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf("opening LDAP connection: %w", err)}
	}
	return &backend{settings: read, env: env, pool: newPool(read.maxConnections)}, nil
}

// backend works on one directory for one leadership period.
type backend struct {
	settings settings
	env      providers.Env
	pool     *pool
}

// Close ends every connection, and with it the calls that use one.
func (b *backend) Close() error {
	b.pool.close()
	return nil
}

// bound limits a call to a time that no call of that many operations needs while the directory answers in time.
func (b *backend) bound(ctx context.Context, operations int) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, b.settings.connectTimeout+time.Duration(operations)*b.settings.timeout)
}

// ours refuses names that another cluster or a person may have given.
func (b *backend) ours(name providers.LoginName) error {
	refuse := func(format string, args ...any) error {
		return &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf("refusing login name %q: it "+format, append([]any{string(name)}, args...)...)}
	}
	switch {
	case len(name) > maxLoginName:
		return refuse("is longer than %d bytes", maxLoginName)
	case b.env.Prefix == "" || !strings.HasPrefix(string(name), b.env.Prefix):
		return refuse("does not begin with %q", b.env.Prefix)
	case strings.ToValidUTF8(string(name), "") != string(name) || strings.ContainsFunc(string(name), func(r rune) bool { return r < ' ' || r == 0x7f }):
		return refuse("holds control characters or is no UTF-8")
	}
	return nil
}

// writes refuses what changes something at a directory where nothing may change.
func (b *backend) writes() error {
	if b.env.ReadOnly {
		return &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf("nothing may change at the directory at %s", b.settings.address())}
	}
	return nil
}

// Renew has nothing to extend: an entry stays until it is removed.
func (b *backend) Renew(_ context.Context, logins []providers.Login) map[providers.LoginName]error {
	answers := make(map[providers.LoginName]error, len(logins))
	for _, login := range logins {
		answers[login.Name] = b.writes()
	}
	return answers
}

func (b *backend) values(name providers.LoginName, password providers.Secret) providers.Values {
	s := b.settings
	port := strconv.FormatInt(s.clientPort, 10)
	scheme := "ldap"
	if s.tls != nil && !s.startTLS {
		scheme = "ldaps"
	}
	host := s.clientHost
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return providers.Values{
		"username": providers.NewSecret(string(name)),
		"dn":       providers.NewSecret(s.dn(name)),
		"password": password,
		"host":     providers.NewSecret(s.clientHost),
		"port":     providers.NewSecret(port),
		"url":      providers.NewSecret(scheme + "://" + host + ":" + port),
	}
}

// each does something for every login that is ours, several at a time, and judges each by itself. When the directory
// is lost, logins whose turn has not come are answered with that.
func (b *backend) each(ctx context.Context, logins []providers.Login, operations int, do func(context.Context, *conn, providers.Login) error) map[providers.LoginName]error {
	answers := make(map[providers.LoginName]error, len(logins))
	var todo []providers.Login
	for _, login := range logins {
		if _, seen := answers[login.Name]; seen {
			continue
		}
		answers[login.Name] = b.ours(login.Name)
		if answers[login.Name] == nil {
			answers[login.Name] = b.writes()
		}
		if answers[login.Name] == nil {
			todo = append(todo, login)
		}
	}
	ctx, cancel := b.bound(ctx, operations*len(todo))
	defer cancel()
	b.work(ctx, todo, answers, do)
	return answers
}

// work shares the logins among as many connections as there may be.
func (b *backend) work(ctx context.Context, todo []providers.Login, answers map[providers.LoginName]error, do func(context.Context, *conn, providers.Login) error) {
	var mu sync.Mutex // guards todo, lost and answers
	var lost error    // why nobody goes on
	next := func() (providers.Login, bool) {
		mu.Lock()
		defer mu.Unlock()
		if len(todo) == 0 || lost != nil {
			return providers.Login{}, false
		}
		login := todo[0]
		todo = todo[1:]
		return login, true
	}
	var workers sync.WaitGroup
	for range min(len(todo), b.settings.maxConnections) {
		workers.Go(func() {
			for {
				login, more := next()
				if !more {
					return
				}
				gone, err := b.with(ctx, login, do)
				mu.Lock()
				answers[login.Name] = err
				if gone && lost == nil {
					lost = err
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	for _, login := range todo {
		answers[login.Name] = &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: fmt.Errorf("the directory was lost before the turn of %q came: %w", string(login.Name), lost)}
	}
}

// with does something for one login; gone says that the directory does not answer.
func (b *backend) with(ctx context.Context, login providers.Login, do func(context.Context, *conn, providers.Login) error) (gone bool, err error) {
	c, err := b.acquire(ctx)
	if err != nil {
		return true, err
	}
	defer b.release(c)
	err = do(ctx, c, login)
	return c.broken, err
}
