package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"broker/providers"
)

// Provider is the provider "redis". It has no state.
type Provider struct{}

// Open returns a Backend for the server that the settings name. It connects on first use.
func (Provider) Open(s providers.Settings, env providers.Env) (providers.Backend, error) {
	read, err := readSettings(s)
	if err != nil {
		return nil, &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf("opening Redis connection: %w", err)}
	}
	b := &backend{settings: read, env: env, name: "broker-" + rand.Text(), turns: make(chan struct{}, read.maxConnections-1), savingTurn: make(chan struct{}, 1)}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.saves.save = b.save
	return b, nil
}

// backend works on one server for one leadership period.
type backend struct {
	settings settings
	env      providers.Env
	name     string // of its sessions
	saves    saves
	ctx      context.Context // done when the Backend is closed
	cancel   context.CancelFunc

	// One for each session in use. Saving has one of its own: those who wait for it wait for nobody else.
	turns, savingTurn chan struct{}

	mu   sync.Mutex
	idle []*session // the one used last at the end
}

// Close ends every call under way and all sessions.
func (b *backend) Close() error {
	b.cancel()
	b.saves.close()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.idle {
		s.close()
	}
	b.idle = nil
	return nil
}

// bound limits a call by Close and by a time that no call of that many round trips needs.
func (b *backend) bound(ctx context.Context, roundTrips int) (context.Context, context.CancelFunc) {
	most := b.settings.connectTimeout + time.Duration(roundTrips)*b.settings.commandTimeout
	ctx, cancel := context.WithTimeout(ctx, most)
	stop := context.AfterFunc(b.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// ours refuses names that another cluster or a person may have given. Whoever holds the root account can remove every
// user of the server; the broker touches its own only.
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
	case !isPlain(string(name)):
		// The server's file of users has one in each line, its words separated by blanks.
		return refuse("it holds a character that a user's name cannot have")
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
