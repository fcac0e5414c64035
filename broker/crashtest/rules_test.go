package crashtest

import (
	"slices"
	"time"

	"broker/fsm"
)

// forbidden says why no lease may begin now, or be renewed; empty: it may. Every lock covers every lease.
func (c *checker) forbidden(renewal bool) (why string) {
	must(c.w.truth.View(func(v *fsm.View) error {
		clock := v.Meta().Clock
		environment, _ := v.Environment(environmentName)
		connection, hasConnection := v.Connection(connectionName)
		secret, hasSecret := v.Secret(secretName)
		account, hasAccount := v.Account(accountName)
		locked := slices.ContainsFunc(v.Locks("", 1000), func(l fsm.Lock) bool { return l.UntilAt == 0 || clock < l.UntilAt })
		switch {
		case !hasSecret || !hasConnection || !hasAccount:
			why = "its secret, connection or account is deleted"
		case secret.Going != "" || connection.Going != "" || environment.Going != "" || account.Going != "":
			why = "what it belongs to is being deleted"
		case secret.Disabled || account.Disabled:
			why = "its secret or account is disabled"
		case locked:
			why = "it is locked"
		case renewal && clock < connection.PausedUntilAt:
			why = "its connection is paused"
		}
		return nil
	}))
	return why
}

// operationDone looks at an operation that has come to its end.
func (c *checker) operationDone(op fsm.Operation) {
	if op.Done != op.Begun || !op.AllBegun {
		c.fail("OPS", "operation %s is done with %d of %d leases", op.ID, op.Done, op.Begun)
	}
	for _, l := range c.mayHaveChanged() {
		begun := l.State != fsm.Pending && l.State != fsm.Active
		switch {
		case op.Kind == fsm.OperationDelete && l.State.Live() && belongs(l, op.Target):
			c.fail("OPS", "%s is deleted, and %s is %s", op.Target, c.w.name(l.ID), l.State)
		case op.Kind == fsm.OperationRevoke && len(op.Selector.States) == 0 && c.madeAt[l.ID] < c.begunAt[op.ID] && !begun:
			c.fail("OPS", "operation %s has revoked everything, and %s is %s", op.ID, c.w.name(l.ID), l.State)
		}
	}
}

// belongs reports whether a lease is one of those that go with the target. The record of an orphan has no
// account, and a secret only if an earlier lease tells.
func belongs(l fsm.Lease, t fsm.Target) bool {
	switch t.Noun {
	case fsm.TargetAccount:
		return string(l.Account) == t.Name
	case fsm.TargetSecret:
		return string(l.Secret) == t.Name
	case fsm.TargetEnvironment:
		return string(l.Environment()) == t.Name
	}
	return string(l.Connection) == t.Name
}

// running returns the operations that go on.
func (c *checker) running() (list []fsm.Operation) {
	must(c.w.truth.View(func(v *fsm.View) error { list = v.RunningOperations(); return nil }))
	return list
}

// deletedSince reports whether a lease's connection was deleted after the lease was made.
func (c *checker) deletedSince(l fsm.Lease) (deleted bool) {
	must(c.w.truth.View(func(v *fsm.View) error {
		connection, there := v.Connection(l.Connection)
		deleted = !there || connection.CreatedAt > l.CreatedAt
		return nil
	}))
	return deleted
}

// pause is what the checker knows of the connection's pause.
type pause struct {
	until  fsm.Instant // zero: there is none
	strict time.Time   // what was decided on before the pause is through
	faults int         // injected before
}

// changed notes that a pause begins. Calls that are decided on may be held up by what happened before, and
// by one that hangs.
func (p *pause) changed(c *checker) {
	until := pausedUntilIn(c.w.truth)
	if until == p.until {
		return
	}
	held := time.Now()
	for _, at := range c.w.points() {
		for _, t := range []time.Time{at.notBefore, pausedUntil(at)} {
			if at.kind != arrive && t.After(held) {
				held = t
			}
		}
	}
	*p = pause{until: until, strict: held.Add(callTTL + 500*time.Millisecond), faults: c.w.faults}
}

// called looks at a call of a process that knows of the pause. Where faults have held up more since then, it
// says nothing.
func (p *pause) called(c *checker, at *point) {
	own := fsm.At(time.Now().Add(time.Duration(at.inc.clock.Load())))
	paused := own < p.until && metaOf(c.w.truth).Clock < p.until && pausedUntilIn(at.inc.state) == p.until
	if paused && c.w.faults == p.faults && time.Now().After(p.strict) {
		c.fail("PAUSE", "%s calls %s for %s", at.who(), at.what, at.detail)
	}
}

func pausedUntilIn(s *fsm.State) (until fsm.Instant) {
	must(s.View(func(v *fsm.View) error {
		connection, _ := v.Connection(connectionName)
		until = connection.PausedUntilAt
		return nil
	}))
	return until
}
