package awssts

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"sync"
	"time"

	"broker/providers"
	"broker/providers/awsclient"
)

// Provider is the provider "aws-sts". It has no state.
type Provider struct {
	hasty bool // lost keys of the root account are replaced at once
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
	b := &backend{Client: client, env: env}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	return b, nil
}

// backend works in one account for one leadership period.
type backend struct {
	*awsclient.Client
	env    providers.Env
	ctx    context.Context // done when the Backend is closed
	cancel context.CancelFunc

	// AWS keeps no list of sessions. What this Backend knows of them, by name, until they are revoked:
	made    sync.Map // those that were made
	refused sync.Map // those that AWS certainly did not make
}

// Close ends every call under way.
func (b *backend) Close() error {
	b.cancel()
	b.Client.Close()
	return nil
}

// bound ends a call when the Backend is closed.
func (b *backend) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(b.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// checkName refuses names that are not this cluster's.
func (b *backend) checkName(name providers.LoginName) error {
	if b.env.Prefix == "" || !strings.HasPrefix(string(name), b.env.Prefix) {
		return &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf("session %q does not begin with %q and is not this cluster's", name, b.env.Prefix)}
	}
	return nil
}

// Check asks who the root account is. Which roles it may assume is known by assuming them.
func (b *backend) Check(ctx context.Context) (providers.SystemID, error) {
	ctx, cancel := b.bound(ctx)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return "", &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: fmt.Errorf("calling AWS: %w", err)}
	}
	caller, err := b.Fresh(ctx)
	if err != nil {
		return "", err
	}
	if strings.HasSuffix(caller.ARN, ":root") {
		return "", &providers.Error{Kind: providers.KindRejected, Hint: "Make an IAM user with the policy of the provider's page.",
			Err: fmt.Errorf("the connection's key is that of the account itself (%s), which may assume no role", caller.ARN)}
	}
	return caller.SystemID(), nil
}

// Renew cannot move the end of a session.
func (b *backend) Renew(_ context.Context, logins []providers.Login) map[providers.LoginName]error {
	return all(logins, providers.Errorf(providers.KindUnsupported, "a session at AWS ends when it was made to end: issue another lease"))
}

// List cannot tell which sessions there are.
func (b *backend) List(context.Context, string) iter.Seq2[providers.Found, error] {
	return func(yield func(providers.Found, error) bool) {
		yield(providers.Found{}, providers.Errorf(providers.KindUnsupported, "AWS keeps no list of sessions"))
	}
}

// ConfirmAbsent knows that no call can still make a session, as its signature has expired. One that was made by a call
// without an answer has a key that nobody was told, and counts for nothing.
func (b *backend) ConfirmAbsent(ctx context.Context, logins []providers.Login, notBefore time.Time) map[providers.LoginName]error {
	if len(logins) == 0 {
		return nil
	}
	ctx, cancel := b.bound(ctx)
	defer cancel()
	if err := b.ask(ctx); err != nil {
		return all(logins, err)
	}
	if b.Now().Before(notBefore) {
		return all(logins, providers.Errorf(providers.KindTooEarly, "confirming that sessions are absent: by AWS's clock one may still be made"))
	}
	answers := make(map[providers.LoginName]error, len(logins))
	for _, login := range logins {
		err := b.checkName(login.Name)
		if _, there := b.made.Load(login.Name); there && err == nil {
			err = providers.Errorf(providers.KindExists, "session %q was made", login.Name)
		}
		answers[login.Name] = err
	}
	return answers
}

// ask has AWS prove which account it is and tell the time.
func (b *backend) ask(ctx context.Context) error {
	if _, err := b.Prove(ctx); err != nil {
		return err
	}
	_, err := b.Fresh(ctx)
	return err
}

// all answers the same for every login.
func all(logins []providers.Login, err error) map[providers.LoginName]error {
	answers := make(map[providers.LoginName]error, len(logins))
	for _, login := range logins {
		answers[login.Name] = err
	}
	return answers
}
