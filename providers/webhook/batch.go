package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"broker/providers"
)

// Renew tells the service the new end of each login.
func (b *backend) Renew(ctx context.Context, logins []providers.Login) map[providers.LoginName]error {
	return b.each(ctx, logins, func(login Login) error {
		request := LoginRequest{Call: b.head(operationRenew, login.Name), Login: login}
		return b.call(ctx, operationRenew, request.Call, request, &Reply{})
	})
}

// Revoke has the service remove each login.
func (b *backend) Revoke(ctx context.Context, logins []providers.Login) map[providers.LoginName]error {
	return b.each(ctx, logins, func(login Login) error {
		request := LoginRequest{Call: b.head(operationRevoke, login.Name), Login: login}
		return b.call(ctx, operationRevoke, request.Call, request, &Reply{})
	})
}

// ConfirmAbsent has the service prove it: by its clock, which its creates obey.
func (b *backend) ConfirmAbsent(ctx context.Context, logins []providers.Login, notBefore time.Time) map[providers.LoginName]error {
	return b.each(ctx, logins, func(login Login) error {
		request := ConfirmRequest{Call: b.head(operationConfirmAbsent, login.Name), Login: login, NotBefore: instant(notBefore).Add(time.Millisecond)}
		return b.call(ctx, operationConfirmAbsent, request.Call, request, &Reply{})
	})
}

// each does something for every login that is ours, as many at a time as there may be calls, and judges each by itself.
// When the service is lost, logins whose turn has not come are answered with that.
func (b *backend) each(ctx context.Context, logins []providers.Login, do func(Login) error) map[providers.LoginName]error {
	answers := make(map[providers.LoginName]error, len(logins))
	todo := make(chan Login, len(logins))
	for _, given := range logins {
		if _, seen := answers[given.Name]; seen {
			continue
		}
		login, err := b.login(given)
		if answers[given.Name] = err; err == nil {
			todo <- login
		}
	}
	close(todo)
	var mu sync.Mutex // guards answers and lost
	var lost error    // why nobody goes on
	one := func(login Login) {
		mu.Lock()
		err := lost
		mu.Unlock()
		if err != nil {
			err = &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: fmt.Errorf("the service was lost before the turn of %q came: %w", login.Name, err)}
		} else {
			err = do(login)
		}
		mu.Lock()
		defer mu.Unlock()
		answers[providers.LoginName(login.Name)] = err
		if failed := (*url.Error)(nil); lost == nil && errors.As(err, &failed) { // no answer at all
			lost = err
		}
	}
	var workers sync.WaitGroup
	for range min(len(todo), b.settings.maxRequests) {
		workers.Go(func() {
			for login := range todo {
				one(login)
			}
		})
	}
	workers.Wait()
	return answers
}
