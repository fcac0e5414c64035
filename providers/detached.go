package providers

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"time"
)

// Detached is the larger part of a Backend whose credentials are checked without asking anybody, as certificates are:
// what was made is kept nowhere outside and ends by itself, so there is nothing to extend, to remove or to list. Until
// then a [Publisher] names what was withdrawn. Check and Create are left to whoever embeds it. It is safe for concurrent
// use.
type Detached struct {
	prefix string
	closed atomic.Bool
}

// NewDetached returns a Detached that takes login names with the prefix.
func NewDetached(prefix string) *Detached { return &Detached{prefix: prefix} }

// Ready refuses calls that are over before they began.
func (d *Detached) Ready(ctx context.Context) error {
	err := ctx.Err()
	if d.closed.Load() {
		err = context.Canceled
	}
	if err != nil {
		return &Error{Kind: KindUnavailable, NotSent: true, Err: err}
	}
	return nil
}

// Admit refuses a create that is over before it began, comes too late, or is not for us. It is asked once more when the
// credential is made: until it is handed out it counts for nothing, so that a refusal is never too late.
func (d *Detached) Admit(ctx context.Context, grant Grant) error {
	if err := d.Ready(ctx); err != nil {
		return err
	}
	if err := d.ours(grant.Name); err != nil {
		return err
	}
	if time.Now().After(grant.Deadline) {
		return &Error{Kind: KindRejected, NotSent: true, Err: fmt.Errorf("making login %q: its deadline has passed", string(grant.Name))}
	}
	return nil
}

func (d *Detached) ours(name LoginName) error {
	if d.prefix == "" || !strings.HasPrefix(string(name), d.prefix) {
		return &Error{Kind: KindRejected, NotSent: true, Err: fmt.Errorf("refusing login name %q: it does not begin with %q", string(name), d.prefix)}
	}
	return nil
}

// each answers for every login by itself.
func (d *Detached) each(ctx context.Context, logins []Login, answer error) map[LoginName]error {
	err := d.Ready(ctx)
	answers := make(map[LoginName]error, len(logins))
	for _, login := range logins {
		switch foreign := d.ours(login.Name); {
		case err != nil:
			answers[login.Name] = err
		case foreign != nil:
			answers[login.Name] = foreign
		default:
			answers[login.Name] = answer
		}
	}
	return answers
}

// Renew says that a credential has its end in it.
func (d *Detached) Renew(ctx context.Context, logins []Login) map[LoginName]error {
	return d.each(ctx, logins, &Error{Kind: KindUnsupported, NotSent: true, Err: fmt.Errorf("the end of a certificate is fixed as it is made"), Hint: "issue a new lease in its place"})
}

// Revoke has nothing to do: from the beginning of its end the ledger names the login among those withdrawn.
func (d *Detached) Revoke(ctx context.Context, logins []Login) map[LoginName]error {
	return d.each(ctx, logins, nil)
}

// ConfirmAbsent confirms once notBefore has passed. A create that is still under way then ends in nothing: what it makes
// is not handed out, since the lease is not active, and is withdrawn besides.
func (d *Detached) ConfirmAbsent(ctx context.Context, logins []Login, notBefore time.Time) map[LoginName]error {
	var answer error
	if !time.Now().After(notBefore) {
		answer = Errorf(KindTooEarly, "confirming absence: %s has not come yet", notBefore.UTC().Format(time.RFC3339))
	}
	return d.each(ctx, logins, answer)
}

// List says that nothing outside keeps the logins.
func (d *Detached) List(ctx context.Context, _ string) iter.Seq2[Found, error] {
	return func(yield func(Found, error) bool) {
		err := d.Ready(ctx)
		if err == nil {
			err = Errorf(KindUnsupported, "listing logins: certificates are kept nowhere but with their holders")
		}
		yield(Found{}, err)
	}
}

// Close makes every later call fail.
func (d *Detached) Close() error {
	d.closed.Store(true)
	return nil
}
