package broker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"broker/fsm"
	"broker/providers"
)

// MinTTL is the shortest lease.
const MinTTL = time.Second

// plan is what a secret says about a lease to be made, as one reading of the state.
type plan struct {
	secret     fsm.Secret
	connection fsm.Connection
	account    fsm.Account
	provider   providers.Provider
	options    providers.Options
}

// Issue gives the caller a lease. The order of steps is the protocol: the intent is committed before
// the outside system is called, and values are returned only after the lease is active in the log.
// Errors: *fsm.Refusal, *InvalidError, *UnavailableError, ErrNotLeader, ErrOutcomeUnknown.
func (b *Broker) Issue(ctx context.Context, req Request, spec IssueSpec) (issued Issued, err error) {
	defer func(began time.Time) { b.issueAsked(spec, req, err, began) }(time.Now())
	p, work, leave, err := b.enter(ctx)
	if err != nil {
		return Issued{}, err
	}
	began := p.Now()
	issued, err = p.issue(work, ctx, req, spec)
	if err == nil && !issued.Replayed && !req.DryRun {
		p.company.took(p.Now().Sub(began))
	}
	leave()
	if issued.Lease.ID != "" && errors.Is(err, ErrOutcomeUnknown) {
		// The login exists, and whether its activation was committed is unknown. If the state says
		// so later, the answer is good; if not, the login is removed by whoever leads.
		l, waitErr := b.await(ctx, issued.Lease.ID, func(l fsm.Lease) bool { return l.State != fsm.Pending })
		if waitErr == nil && l.State == fsm.Active {
			issued.Lease = l
			return issued, nil
		}
	}
	if err != nil {
		return Issued{}, err
	}
	return issued, nil
}

func (p *period) issue(ctx, client context.Context, req Request, spec IssueSpec) (Issued, error) {
	for {
		pl, err := p.plan(spec.Secret, req.Actor.Account)
		if err != nil {
			return Issued{}, err
		}
		prepare, err := p.prepare(req, spec, pl)
		if err != nil {
			return Issued{}, err
		}
		leave, err := p.admit(client, req, pl)
		if err != nil {
			return Issued{}, err
		}
		p.company.wait(ctx, p.requests.Load())
		lease, result, err := propose[fsm.Lease](ctx, p, req, prepare)
		if err != nil || req.DryRun || result.Replayed {
			leave()
		}
		var refusal *fsm.Refusal
		switch {
		case errors.As(err, &refusal) && refusal.Code == fsm.CodeSecretChanged:
			continue // plan again with what it was changed to
		case err != nil:
			return Issued{}, err
		case req.DryRun:
			return Issued{Lease: lease}, nil
		case !result.Replayed:
			p.schedule(lease)
			defer leave()
			return p.make(ctx, req, pl, lease)
		}
		if lease.State == fsm.Pending {
			wait, stop := p.waiting(client)
			lease, err = p.await(wait, lease.ID, func(l fsm.Lease) bool { return l.State != fsm.Pending })
			stop()
			if p.ctx.Err() != nil {
				return Issued{}, ErrNotLeader
			}
			if err != nil {
				return Issued{}, err
			}
		}
		if lease.State == fsm.Active && p.now() < lease.ExpiresAt {
			issued, err := p.replay(req, lease)
			if !errors.Is(err, errEnded) {
				return issued, err
			}
		}
		// The attempt that the key was bound to came to nothing, or the lease has ended: proposing
		// again lets the state machine decide which.
	}
}

// planKey names a plan among what is remembered of the configuration.
type planKey struct {
	secret  fsm.SecretName
	account fsm.AccountName
}

// plan reads what is needed to make a login of the secret.
func (p *period) plan(name fsm.SecretName, account fsm.AccountName) (pl plan, err error) {
	pl, _, readErr := recall(p.Broker, planKey{name, account}, func(v *fsm.View) (plan, bool) {
		var read plan
		read, err = p.readPlan(v, name, account)
		return read, err == nil
	})
	return pl, cmp.Or(readErr, err)
}

func (p *period) readPlan(v *fsm.View, name fsm.SecretName, account fsm.AccountName) (pl plan, err error) {
	var ok bool
	if pl.secret, ok = v.Secret(name); !ok {
		return pl, &fsm.Refusal{Code: fsm.CodeNotFound, Field: "secret", Message: fmt.Sprintf("there is no secret %q", name)}
	}
	if pl.connection, ok = v.Connection(pl.secret.Connection); !ok {
		return pl, &fsm.Refusal{Code: fsm.CodeNotFound, Field: "connection", Message: fmt.Sprintf("there is no connection %q", pl.secret.Connection)}
	}
	pl.account, _ = v.Account(account)
	if pl.provider, ok = p.Providers.Get(pl.connection.Provider); !ok {
		return pl, fmt.Errorf("this node has no provider %q", pl.connection.Provider)
	}
	pl.options, err = p.options(pl.connection.Provider, pl.secret.Options)
	return pl, err
}

// admit lets a request for a lease begin, or refuses it before anything is recorded: the outside system
// is paused or unavailable, asked for too much at a time, or the secret too often. A request that is
// answered from what was done before needs none of it. leave must be called.
func (p *period) admit(client context.Context, req Request, pl plan) (leave func(), err error) {
	nothing := func() {}
	if req.DryRun || p.known(req) {
		return nothing, nil
	}
	if refusal := pl.connection.WhilePaused(p.now()); refusal != nil {
		return nil, refusal
	}
	guard := p.guard(system{pl.connection.Name, pl.connection.System})
	if err := guard.unavailable(); err != nil {
		return nil, err
	}
	if err := p.allow(pl.secret, pl.account); err != nil {
		return nil, err
	}
	wait, stop := p.waiting(client)
	defer stop()
	return guard.enter(wait)
}

// known reports whether the request is answered by a lease that its key is bound to already. One that came
// to nothing answers nothing: the request makes a new attempt, like any other.
func (p *period) known(req Request) bool {
	if req.Key == nil {
		return false
	}
	var lease fsm.Lease
	var bound bool
	err := p.peek(func(v *fsm.View) {
		lease, bound = v.LeaseByKey(fsm.NewKey(req.Actor.Account, req.Key.Route, req.Key.Value, req.Key.Body))
	})
	return err == nil && bound && (lease.State == fsm.Pending || lease.WasActive())
}

// prepare fixes everything about the lease before anything is called: its id, the login's name, its time.
func (p *period) prepare(req Request, spec IssueSpec, pl plan) (c *fsm.PrepareLease, err error) {
	_, short := pl.secret.Name.Split()
	c = &fsm.PrepareLease{
		Name: spec.Name, Secret: pl.secret.Name, SecretVersion: pl.secret.Version, System: pl.connection.System,
		Account: req.Actor.Account, Token: req.Actor.Token, TTL: spec.TTL, CreateTTL: p.Timing.Create, Labels: spec.Labels,
		MaxTTL: spec.MaxTTL, Replaces: spec.Replaces,
	}
	if c.Name == "" {
		c.Name = short
	}
	if c.TTL == 0 {
		c.TTL = pl.secret.DefaultTTL
		if c.MaxTTL > 0 {
			c.TTL = min(c.TTL, c.MaxTTL)
		}
	}
	if err := checkLease(c.Name, c.TTL, c.Labels); err != nil {
		return nil, err
	}
	c.Fixed = pl.provider.Describe().Fixed
	if c.Parameters, err = parameters(pl.provider, spec.Parameters); err != nil {
		return nil, err
	}
	id, err := p.newID()
	if err != nil {
		return nil, err
	}
	unique, err := providers.NewUnique(p.Random)
	if err != nil {
		return nil, err
	}
	c.ID = fsm.LeaseID(id)
	c.Username = string(loginName(p.Prefix, p.clusterID, pl.provider, pl.options, pl.secret.Name, req.Actor.Account, unique))
	return c, nil
}

// parameters checks what a request for a lease says besides, as it is kept with the lease: nil when that is nothing.
func parameters(kind providers.Provider, given map[string]any) ([]byte, error) {
	valid, problems := kind.Describe().ValidateParameters(given)
	if len(problems) == 0 {
		problems = providers.CheckParameters(kind, valid)
	}
	if err := within("parameters.", problems); err != nil || len(valid) == 0 {
		return nil, err
	}
	return encodeFields(valid)
}

// parametersOf reads what parameters returned.
func parametersOf(lease fsm.Lease) (valid providers.Parameters, err error) {
	if len(lease.Parameters) > 0 {
		err = json.Unmarshal(lease.Parameters, &valid)
	}
	return valid, err
}

// newID returns an id that is greater than all this node made before.
func (b *Broker) newID() (string, error) {
	id, err := ulid.New(ulid.Timestamp(b.Now()), b.ids)
	if err != nil {
		return "", fmt.Errorf("making an id: %w", err)
	}
	return id.String(), nil
}

// make carries out what the committed PrepareLease authorised.
func (p *period) make(ctx context.Context, req Request, pl plan, lease fsm.Lease) (Issued, error) {
	values, err := p.create(ctx, pl, lease)
	return p.activate(ctx, req, pl, lease, values, err)
}

// activate has a lease become active with the values that were made, or ends it when making them failed.
func (p *period) activate(ctx context.Context, req Request, pl plan, lease fsm.Lease, values providers.Values, err error) (Issued, error) {
	if err != nil && p.ctx.Err() != nil {
		// Not the outside system's fault; the next leader rolls the lease back.
		return Issued{}, fmt.Errorf("%w: leadership was lost while the login was being made", ErrOutcomeUnknown)
	}
	if err != nil {
		return Issued{}, p.abort(ctx, pl, lease, err)
	}
	issued := Issued{Lease: lease}
	activate := &fsm.ActivateLease{ID: lease.ID}
	if issued.Values, err = render(pl.secret.Outputs, values); err == nil && req.Key != nil {
		activate.Reply, err = p.sealReply(req.Key.Value, lease.ID, issued.Values)
		activate.ReplyTTL = p.Timing.ReplyTTL
	}
	if err != nil {
		return Issued{}, p.abort(ctx, pl, lease, err)
	}
	p.company.wait(ctx, p.requests.Load())
	// From here the maker touches nothing outside, whatever the answer: the ledger's revoker removes.
	l, _, err := propose[fsm.Lease](ctx, p, Request{Actor: req.Actor}, activate)
	switch {
	case errors.Is(err, ErrOutcomeUnknown):
		return issued, err
	case err != nil:
		return Issued{}, err
	case l.State != fsm.Active:
		p.drive(l)
		return Issued{}, (&fsm.Refusal{Code: fsm.CodeLeaseNotActive, Message: fmt.Sprintf("lease %s could not become active: %s", l.ID, l.Reason)}).With("lease_id", string(l.ID))
	}
	p.schedule(l)
	issued.Lease = l
	return issued, nil
}

func (p *period) create(ctx context.Context, pl plan, lease fsm.Lease) (providers.Values, error) {
	// The ledger's clock may be ahead of this node's; ten seconds are ten seconds all the same.
	deadline := lease.CreateDeadlineAt.Time()
	if own := p.Now().Add(p.Timing.Create); own.Before(deadline) {
		deadline = own
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	given, err := parametersOf(lease)
	if err != nil {
		return nil, &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf("reading the lease's parameters: %w", err)}
	}
	backend, release, err := p.backends.use(systemOf(lease))
	if err != nil {
		return nil, &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: err}
	}
	defer release()
	values, err := backend.Create(ctx, providers.Grant{
		Login:      providers.Login{Name: providers.LoginName(lease.Username), ExpiresAt: lease.ExpiresAt.Time(), Options: pl.options},
		LeaseID:    string(lease.ID),
		Deadline:   deadline,
		For:        purpose(lease),
		Parameters: given,
	})
	p.guard(systemOf(lease)).report(err)
	return values, err
}

// purpose is what and whom a lease's login is for.
func purpose(lease fsm.Lease) providers.NameParts {
	env, secret := lease.Secret.Split()
	app, stage, _ := strings.Cut(string(env), "/")
	return providers.NameParts{App: app, Env: stage, Secret: secret, Account: string(lease.Account)}
}

// abort begins the end of a lease whose login could not be made. Even a definite error may have left
// something behind, unless the call certainly never left the process.
func (p *period) abort(ctx context.Context, pl plan, lease fsm.Lease, cause error) error {
	pe := classify(cause)
	l, _, err := propose[fsm.Lease](ctx, p, p.self(), &fsm.BeginRevoke{
		ID: lease.ID, Cause: fsm.CauseAbort, Reason: pe.Error(), NotSent: pe.NotSent,
	})
	if err == nil {
		p.schedule(l)
		p.drive(l)
	} // otherwise the wheel rolls the lease back at its create deadline
	p.log.WarnContext(ctx, "making a login failed", "lease", lease.ID, "connection", lease.Connection, "kind", pe.Kind.String(), "not_sent", pe.NotSent, "error", pe)
	if pe.Kind == providers.KindRejected || pe.Kind == providers.KindUnsupported || pe.Kind == providers.KindExists {
		r := &fsm.Refusal{Code: CodeProviderRejected, Message: fmt.Sprintf("connection %q refused to make a login: %s", pl.connection.Name, pe)}
		return withHint(r, pe).With("lease_id", string(lease.ID))
	}
	return &UnavailableError{Connection: pl.connection.Name, Lease: lease.ID, RetryAfter: 5 * time.Second, Err: pe}
}

func systemOf(l fsm.Lease) system { return system{l.Connection, l.System} }

// await waits until the local state shows the lease as wanted.
func (b *Broker) await(ctx context.Context, id fsm.LeaseID, done func(fsm.Lease) bool) (fsm.Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, b.Timing.Create+b.Timing.RevokeWait)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var lease fsm.Lease
		if err := b.peek(func(v *fsm.View) { lease, _ = v.Lease(id) }); err != nil {
			return lease, err
		}
		if done(lease) {
			return lease, nil
		}
		select {
		case <-ctx.Done():
			return lease, ErrOutcomeUnknown
		case <-tick.C:
		}
	}
}

// classify returns the provider's error; one of another kind has an unknown outcome.
func classify(err error) *providers.Error {
	var pe *providers.Error
	if errors.As(err, &pe) {
		return pe
	}
	return &providers.Error{Kind: providers.KindUnknown, Err: err}
}

func withHint(r *fsm.Refusal, pe *providers.Error) *fsm.Refusal {
	if pe.Hint != "" {
		r.With("hint", pe.Hint)
	}
	return r
}
