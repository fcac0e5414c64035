package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"broker/providers"
)

// Provider is the provider "rabbitmq". It has no state.
type Provider struct{}

// Open returns a Backend for the cluster that the settings name. It connects on first use.
func (Provider) Open(s providers.Settings, env providers.Env) (providers.Backend, error) {
	read, err := readSettings(s)
	if err != nil {
		return nil, &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf("opening RabbitMQ connection: %w", err)}
	}
	b := &backend{settings: read, env: env, http: providers.NewHTTPClient(env.Dialer, read.tls, read.requestTimeout)}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	return b, nil
}

// backend works on one cluster for one leadership period.
type backend struct {
	settings settings
	env      providers.Env
	http     *http.Client
	ctx      context.Context // done when the Backend is closed
	cancel   context.CancelFunc
}

// Close ends every call under way and all connections.
func (b *backend) Close() error {
	b.cancel()
	b.http.CloseIdleConnections()
	return nil
}

// ready refuses calls that are over before they began.
func (b *backend) ready(ctx context.Context) error {
	err := ctx.Err()
	if err == nil && b.ctx.Err() != nil {
		err = errors.New("the backend is closed")
	}
	if err == nil {
		return nil
	}
	return &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: fmt.Errorf("connecting to RabbitMQ at %s: %w", b.settings.address(), err)}
}

// ours refuses names that another cluster or a person may have given. Whoever holds the root account can remove every
// user; the broker touches its own only.
func (b *backend) ours(name providers.LoginName) error {
	refuse := func(reason string) error {
		return &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf("refusing user name %q: %s", string(name), reason)}
	}
	switch {
	case name == "" || len(name) > longestName:
		return refuse(fmt.Sprintf("it is empty or longer than %d bytes", longestName))
	case b.env.Prefix == "":
		return refuse("the backend was opened without a prefix and so has no logins")
	case !strings.HasPrefix(string(name), b.env.Prefix):
		return refuse(fmt.Sprintf("it does not begin with %q", b.env.Prefix))
	case string(name) == b.settings.username:
		return refuse("it is the root account")
	case strings.ContainsFunc(string(name), func(r rune) bool { return r <= ' ' || r > '~' || r == ':' || r == '%' || r == '/' }):
		// A path that is divided or read otherwise on its way would be that of another user.
		return refuse("it holds a character that a leased user's name cannot have")
	}
	return nil
}

// changing refuses what changes something where nothing may change.
func (b *backend) changing() error {
	if b.env.ReadOnly {
		return &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: errors.New("nothing may change at the server now")}
	}
	return nil
}

// sift answers for logins that are not ours and returns the names of the others, each once.
func (b *backend) sift(logins []providers.Login) (names []providers.LoginName, answers map[providers.LoginName]error) {
	answers = make(map[providers.LoginName]error, len(logins))
	seen := make(map[providers.LoginName]bool, len(logins))
	for _, login := range logins {
		if seen[login.Name] {
			continue
		}
		seen[login.Name] = true
		if err := b.ours(login.Name); err != nil {
			answers[login.Name] = err
		} else {
			names = append(names, login.Name)
		}
	}
	return names, answers
}

// answerAll gives the same answer for every one of the names.
func answerAll(answers map[providers.LoginName]error, names []providers.LoginName, err error) {
	for _, name := range names {
		answers[name] = err
	}
}

// atOnce is how many requests of one call may be under way at the same time.
const atOnce = 8

// each calls one for every name, several at a time, and returns what they answered.
func each(names []providers.LoginName, one func(providers.LoginName) error) map[providers.LoginName]error {
	var mu sync.Mutex
	var wg sync.WaitGroup
	answers := make(map[providers.LoginName]error, len(names))
	next := make(chan providers.LoginName)
	for range min(atOnce, len(names)) {
		wg.Go(func() {
			for name := range next {
				err := one(name)
				mu.Lock()
				answers[name] = err
				mu.Unlock()
			}
		})
	}
	for _, name := range names {
		next <- name
	}
	close(next)
	wg.Wait()
	return answers
}

// sent marks the error of a call that had changed something before, or may have.
func sent(err error) error {
	var e *providers.Error
	if errors.As(err, &e) {
		e.NotSent = false
	}
	return err
}

// pause waits, unless the call is over.
func pause(ctx context.Context, length time.Duration) {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
