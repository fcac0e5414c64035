package crashtest

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"broker/providers"
	"broker/providers/providertest"
)

// outside is the fake's provider as one process sees it: every changing call passes two points, before
// it leaves and before its answer comes back.
type outside struct {
	providers.Provider
	inc *incarnation
}

func (o outside) Open(settings providers.Settings, env providers.Env) (providers.Backend, error) {
	inner, err := o.Provider.Open(settings, env)
	return &backend{inner: inner, inc: o.inc, term: env.Term, system: settings.String("system")}, err
}

// backend never closes the inner one: calls may arrive when their sender is long gone.
type backend struct {
	inner  providers.Backend
	inc    *incarnation
	term   uint64
	system string
}

// call is one call of the outside system.
type call struct {
	op       providertest.Op
	system   string
	term     uint64
	names    []providers.LoginName
	deadline time.Time   // of a create
	ends     []time.Time // of a renew, in the order of names
	grant    providers.Grant

	// do carries the call out for the logins that keep names.
	do func(keep func(i int) bool)

	leftOut bool        // the answer names nobody
	err     error       // what the caller is told, unless the call was carried out
	hangs   bool        // the caller is told nothing before its context is done
	opened  *openCreate // the call is a create that was begun and not committed
}

// openCreate is a create whose transaction is open: nobody sees the login yet.
type openCreate struct {
	done chan struct{}
}

var errSilence = errors.New("no answer came")

func unknown() error { return &providers.Error{Kind: providers.KindUnknown, Err: errSilence} }

// pass takes a call through its points and returns an error when it was not carried out or is not
// answered.
func (b *backend) pass(ctx context.Context, c *call) error {
	if ctx.Err() != nil || b.inc.knowsEndOf(b.term) {
		return &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: context.Canceled}
	}
	w := b.inc.node.w
	c.term, c.system = b.term, b.system
	what := string(c.op)
	if len(c.names) > 1 {
		what += " of many"
	}
	if !w.park(&point{kind: send, what: what, inc: b.inc, call: c, ctx: ctx}) {
		return unknown()
	}
	if c.opened != nil {
		select {
		case <-c.opened.done:
		case <-ctx.Done():
			return unknown()
		}
	}
	if c.hangs {
		<-ctx.Done()
		return unknown()
	}
	if c.err != nil {
		return c.err
	}
	if !w.park(&point{kind: answer, what: what, inc: b.inc, call: c, ctx: ctx}) {
		return unknown()
	}
	return c.err
}

func (b *backend) Create(ctx context.Context, grant providers.Grant) (providers.Values, error) {
	var values providers.Values
	var failure error
	c := &call{op: providertest.OpCreate, names: []providers.LoginName{grant.Name}, deadline: grant.Deadline, grant: grant}
	c.do = func(func(int) bool) {
		g := grant
		if c.opened != nil || b.inc.node.w.bugs.noDeadline {
			// The deadline was judged by the last statement of the transaction, which is through.
			g.Deadline = time.Now().Add(time.Hour)
		}
		values, failure = b.inner.Create(context.Background(), g)
	}
	if err := b.pass(ctx, c); err != nil {
		return nil, err
	}
	return values, failure
}

// each passes a call for many logins. What is not kept gets no answer.
func (b *backend) each(ctx context.Context, op providertest.Op, logins []providers.Login, one func([]providers.Login) map[providers.LoginName]error) map[providers.LoginName]error {
	logins = slices.Clone(logins)
	c := &call{op: op}
	for _, l := range logins {
		c.names, c.ends = append(c.names, l.Name), append(c.ends, l.ExpiresAt)
	}
	var answers map[providers.LoginName]error
	c.do = func(keep func(int) bool) {
		var kept []providers.Login
		for i, l := range logins {
			if keep(i) {
				kept = append(kept, l)
			}
		}
		answers = one(kept)
	}
	if err := b.pass(ctx, c); err != nil {
		failed := map[providers.LoginName]error{}
		for _, l := range logins {
			failed[l.Name] = err
		}
		return failed
	}
	if c.leftOut {
		return nil
	}
	return answers
}

func (b *backend) Renew(ctx context.Context, logins []providers.Login) map[providers.LoginName]error {
	return b.each(ctx, providertest.OpRenew, logins, func(kept []providers.Login) map[providers.LoginName]error {
		if b.inc.node.w.bugs.renewByUpsert {
			b.inc.node.w.upsert(kept)
		}
		return b.inner.Renew(context.Background(), kept)
	})
}

func (b *backend) Revoke(ctx context.Context, logins []providers.Login) map[providers.LoginName]error {
	return b.each(ctx, providertest.OpRevoke, logins, func(kept []providers.Login) map[providers.LoginName]error {
		return b.inner.Revoke(context.Background(), kept)
	})
}

func (b *backend) ConfirmAbsent(ctx context.Context, logins []providers.Login, notBefore time.Time) map[providers.LoginName]error {
	return b.each(ctx, providertest.OpConfirmAbsent, logins, func(kept []providers.Login) map[providers.LoginName]error {
		return b.inner.ConfirmAbsent(context.Background(), kept, notBefore)
	})
}

func (b *backend) Check(ctx context.Context) (system providers.SystemID, failure error) {
	c := &call{op: providertest.OpCheck}
	c.do = func(func(int) bool) { system, failure = b.inner.Check(context.Background()) }
	if err := b.pass(ctx, c); err != nil {
		return "", err
	}
	return system, failure
}

func (b *backend) List(ctx context.Context, prefix string) iter.Seq2[providers.Found, error] {
	return func(yield func(providers.Found, error) bool) {
		var listed []providers.Found
		c := &call{op: providertest.OpList}
		c.do = func(keep func(int) bool) {
			i := 0
			for found, err := range b.inner.List(context.Background(), prefix) {
				must(err)
				if keep(i) {
					listed = append(listed, found)
				}
				i++
			}
		}
		err := b.pass(ctx, c)
		if err == nil && c.leftOut {
			listed = nil
		}
		for _, found := range listed {
			if err == nil && !yield(found, nil) {
				return
			}
		}
		if err != nil {
			yield(providers.Found{}, err)
		}
	}
}

func (b *backend) Close() error { return nil }

// waitsForOpen reports whether a call has to wait at the outside system for an open create of a name
// that it claims.
func (w *world) waitsForOpen(p *point) bool {
	if p.kind != send || p.call.op != providertest.OpConfirmAbsent || w.bugs.dropIfExistsIsAbsence {
		return false
	}
	return slices.ContainsFunc(p.call.names, func(name providers.LoginName) bool { return w.open[name] != nil })
}

// begin opens a create's transaction. It is committed when the point that it adds goes on.
func (w *world) beginCreate(p *point, until time.Time) {
	c := p.call
	if time.Now().After(c.deadline) {
		c.do(all) // its last statement fails
		return
	}
	tx := &openCreate{done: make(chan struct{})}
	c.opened = tx
	w.open[c.names[0]] = tx
	w.add(&point{kind: arrive, what: "commit of create", inc: p.inc, notBefore: until, call: &call{op: c.op, names: c.names, do: func(keep func(int) bool) {
		c.do(keep)
		delete(w.open, c.names[0])
		close(tx.done)
	}}})
}

// upsert makes logins that are not there: what Renew must never do.
func (w *world) upsert(logins []providers.Login) {
	for _, l := range logins {
		if _, exists := w.fake.Login(l.Name); !exists {
			w.fake.Add(providertest.FakeLogin{Name: l.Name, LeaseID: string(w.check.leaseOf(l.Name)), CanLogin: true, ExpiresAt: l.ExpiresAt})
		}
	}
}
