package awsiam

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"broker/providers"
	"broker/providers/awsclient"
)

const (
	// lanes is how many logins are made and removed at once. AWS throttles IAM for the account as a whole: more only
	// meet each other there.
	lanes = 8

	// defaultSettle is the time between the two answers that a user does not exist.
	defaultSettle = 5 * time.Second
)

// Provider is the provider "aws-iam". It has no state.
type Provider struct {
	settle time.Duration // zero means defaultSettle
	hasty  bool          // lost keys of the root account are replaced at once
}

// Open returns a Backend for the account that the settings lead to.
func (p Provider) Open(s providers.Settings, env providers.Env) (providers.Backend, error) {
	client, err := awsclient.New(s, env)
	if err != nil {
		return nil, err
	}
	if p.hasty {
		client.LostAfter = -time.Hour
	}
	b := &backend{Client: client, env: env, settle: cmp.Or(p.settle, defaultSettle), lanes: make(chan struct{}, lanes)}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	return b, nil
}

// backend works in one account for one leadership period.
type backend struct {
	*awsclient.Client
	env    providers.Env
	settle time.Duration
	lanes  chan struct{}
	ctx    context.Context // done when the Backend is closed
	cancel context.CancelFunc
	ours   sync.Map // names of users that are known to carry the cluster's id
}

// Close ends every call under way.
func (b *backend) Close() error {
	b.cancel()
	b.Client.Close()
	return nil
}

// bound ends a call when the Backend is closed.
func (b *backend) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(b.ctx, func() { cancel(context.Canceled) })
	return ctx, func() { stop(); cancel(nil) }
}

// lane waits for a turn. The error says that nothing was sent.
func (b *backend) lane(ctx context.Context) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: fmt.Errorf("calling AWS: %w", err)}
	}
	select {
	case b.lanes <- struct{}{}:
		return func() { <-b.lanes }, nil
	case <-ctx.Done():
		return nil, &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Busy: true, Err: fmt.Errorf("waiting for a turn at AWS: %w", ctx.Err())}
	}
}

// checkName refuses names that are not this cluster's.
func (b *backend) checkName(name providers.LoginName) error {
	if b.env.Prefix == "" || !strings.HasPrefix(string(name), b.env.Prefix) {
		return &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf("user %q does not begin with %q and is not this cluster's", name, b.env.Prefix)}
	}
	return nil
}

// each calls do for every login in a lane of its own, in the order of names, and collects the answers.
func (b *backend) each(ctx context.Context, logins []providers.Login, do func(context.Context, providers.Login) error) map[providers.LoginName]error {
	answers := make(map[providers.LoginName]error, len(logins))
	var mu sync.Mutex
	var going sync.WaitGroup
	for _, login := range sorted(logins) {
		leave, err := b.lane(ctx)
		if err != nil {
			mu.Lock()
			answers[login.Name] = err
			mu.Unlock()
			continue
		}
		going.Go(func() {
			defer leave()
			err := b.checkName(login.Name)
			if err == nil {
				err = do(ctx, login)
			}
			mu.Lock()
			answers[login.Name] = err
			mu.Unlock()
		})
	}
	going.Wait()
	return answers
}

// sorted returns the logins in the order of names, each once.
func sorted(logins []providers.Login) []providers.Login {
	ordered := slices.SortedFunc(slices.Values(logins), func(a, b providers.Login) int { return cmp.Compare(a.Name, b.Name) })
	return slices.CompactFunc(ordered, func(a, b providers.Login) bool { return a.Name == b.Name })
}

// all answers the same for every login.
func all(logins []providers.Login, err error) map[providers.LoginName]error {
	answers := make(map[providers.LoginName]error, len(logins))
	for _, login := range logins {
		answers[login.Name] = err
	}
	return answers
}

// Renew has nothing to do: an IAM user has no end.
func (b *backend) Renew(_ context.Context, logins []providers.Login) map[providers.LoginName]error {
	return all(logins, nil)
}
