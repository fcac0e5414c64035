package crashtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"broker/broker"
	"broker/fsm"
)

// disturb brings in operators into some worlds, and snapshots into others.
func (p *wild) disturb(w *world) {
	if p.rand.IntN(3) == 0 {
		for range 1 + p.rand.IntN(3) {
			w.after(time.Duration(1+p.rand.IntN(40))*time.Second, func() { w.archive = w.snapshot() })
		}
	}
	if p.rand.IntN(2) == 0 {
		return
	}
	w.keepMended()
	for i := range 1 + p.rand.IntN(2) {
		r := rand.New(rand.NewPCG(p.seed, uint64(200+i)))
		w.enter(fmt.Sprintf("o%d", i+1), func(c *client) {
			c.account = operatorName
			for n := range 1 + r.IntN(6) {
				wait(time.Duration(r.IntN(6000)) * time.Millisecond)
				c.operate(r, fmt.Sprintf("%s-%d", c.name, n))
			}
		})
	}
}

// operate is one thing that an operator does in an incident or for maintenance.
func (c *client) operate(r *rand.Rand, key string) {
	d := time.Duration(1+r.IntN(10)) * time.Second
	switch r.IntN(19) {
	case 0, 1, 2:
		c.start(key, broker.OperationSpec{Kind: fsm.OperationRevoke, Selector: selector(r)})
	case 3:
		c.start(key, broker.OperationSpec{Kind: fsm.OperationRetry, Selector: selector(r)})
	case 4:
		c.start(key, broker.OperationSpec{Kind: fsm.OperationForget, Selector: selector(r), Reason: "given up"})
	case 5, 6:
		c.retry(c.revoking(r))
	case 7, 8:
		c.forget(c.revoking(r))
	case 9, 10:
		c.lock(r, key, d)
	case 11:
		c.pause(key, d)
	case 12:
		c.pause(key, 10*time.Second+2*d)
	case 13:
		c.disable(key, d)
	case 14:
		c.deleteWithLeases(key, fsm.Target{Noun: fsm.TargetSecret, Name: string(secretName)})
	case 15:
		c.deleteWithLeases(key, fsm.Target{Noun: fsm.TargetConnection, Name: string(connectionName)})
	case 16:
		c.deleteWithLeases(key, fsm.Target{Noun: fsm.TargetEnvironment, Name: string(environmentName)})
	case 17:
		c.cancel(c.deleteWithLeases(key, fsm.Target{Noun: fsm.TargetSecret, Name: string(secretName)}))
	case 18:
		if r.IntN(3) == 0 {
			c.deleteWithLeases(key, fsm.Target{Noun: fsm.TargetAccount, Name: string(accountName)})
		}
	}
}

// selector chooses all leases in one of the ways in which they can be chosen, or those in a state.
func selector(r *rand.Rand) fsm.LeaseSelector {
	return []fsm.LeaseSelector{
		{}, {Secret: secretName}, {Connection: connectionName}, {Account: accountName}, {Environments: []fsm.Pattern{"payments/*"}},
		{States: []string{string(fsm.Active)}}, {States: []string{string(fsm.Revoking)}}, {States: []string{"stuck"}},
	}[r.IntN(8)]
}

// demand asks for something until it is answered, and reports whether it was granted.
func (c *client) demand(what string, do func(ctx context.Context, b *broker.Broker) error) bool {
	_, err := c.ask(request{what, func(ctx context.Context, b *broker.Broker) (*broker.Issued, error) {
		return &broker.Issued{}, do(ctx, b)
	}})
	return err == nil
}

func (c *client) start(key string, spec broker.OperationSpec) {
	var op fsm.Operation
	if c.demand("operation", func(ctx context.Context, b *broker.Broker) (err error) {
		op, err = b.StartOperation(ctx, c.request(key, "POST /operations"), spec)
		return err
	}) {
		c.acknowledged(op.ID)
	}
}

func (c *client) deleteWithLeases(key string, target fsm.Target) fsm.OperationID {
	if target.Noun == fsm.TargetAccount {
		c.w.noAccount.Store(true)
	}
	var op fsm.Operation
	if !c.demand("deletion", func(ctx context.Context, b *broker.Broker) (err error) {
		op, err = b.DeleteWithLeases(ctx, c.request(key, "DELETE"), target, 0, "over")
		return err
	}) {
		return ""
	}
	c.acknowledged(op.ID)
	return op.ID
}

// acknowledged looks whether the log has an operation that somebody was told of.
func (c *client) acknowledged(id fsm.OperationID) {
	must(c.w.truth.View(func(v *fsm.View) error {
		if _, there := v.Operation(id); !there {
			c.w.check.fail("A5", "%s was told of operation %s, which is not there", c.name, id)
		}
		return nil
	}))
}

func (c *client) cancel(id fsm.OperationID) {
	if id != "" {
		c.demand("cancel", func(ctx context.Context, b *broker.Broker) error {
			_, err := b.CancelOperation(ctx, c.request("", ""), id)
			return err
		})
	}
}

// revoking waits a while for leases that are being revoked, and returns one; empty: there is none.
func (c *client) revoking(r *rand.Rand) fsm.LeaseID {
	for range 100 {
		var ids []fsm.LeaseID
		must(c.w.truth.View(func(v *fsm.View) error { ids = v.LeaseIDs(fsm.Revoking, "", 1000); return nil }))
		if len(ids) > 0 {
			return ids[r.IntN(len(ids))]
		}
		wait(100 * time.Millisecond)
	}
	return ""
}

func (c *client) retry(id fsm.LeaseID) {
	if id == "" {
		return
	}
	_, _ = c.ask(request{"retry", func(ctx context.Context, b *broker.Broker) (*broker.Issued, error) {
		l, err := b.RetryLease(ctx, c.request("", ""), id)
		return &broker.Issued{Lease: l}, err
	}})
}

func (c *client) forget(id fsm.LeaseID) {
	if id == "" {
		return
	}
	_, _ = c.ask(request{"forget", func(ctx context.Context, b *broker.Broker) (*broker.Issued, error) {
		l, err := b.ForgetLease(ctx, c.request("", ""), id, "given up")
		return &broker.Issued{Lease: l}, err
	}})
}

// lock locks everything for a while, in one of the ways in which that can be said.
func (c *client) lock(r *rand.Rand, key string, d time.Duration) {
	spec := broker.LockSpec{
		Reason: "an incident", Until: time.Now().Add(2 * d), Revoke: r.IntN(2) == 0,
		Scope: []fsm.LockScope{{Environment: "payments/*"}, {Account: accountName}, {Secret: secretName}, {Connection: connectionName}}[r.IntN(4)],
	}
	var lock fsm.Lock
	if !c.demand("lock", func(ctx context.Context, b *broker.Broker) error {
		made, op, err := b.CreateLock(ctx, c.request(key, "POST /locks"), spec)
		if lock = made; err == nil && op != nil {
			c.acknowledged(op.ID)
		}
		return err
	}) {
		return
	}
	wait(d)
	c.demand("unlock", func(ctx context.Context, b *broker.Broker) error {
		return b.DeleteLock(ctx, c.request("", ""), lock.ID, 0)
	})
}

// pause pauses the connection; it resumes it early as often as not.
func (c *client) pause(key string, d time.Duration) {
	set := func(key string, until time.Time) bool {
		return c.demand("pause", func(ctx context.Context, b *broker.Broker) error {
			_, err := b.PauseConnection(ctx, c.request(key, "POST /pause"), broker.PauseSpec{Name: connectionName, Until: until, Reason: "an upgrade"})
			return err
		})
	}
	if set(key, time.Now().Add(d)) && d > 5*time.Second {
		wait(d - 2*time.Second)
		set("", time.Time{})
	}
}

// disable disables the clients' account for a while.
func (c *client) disable(key string, d time.Duration) {
	set := func(key string, disabled bool) bool {
		return c.demand("account", func(ctx context.Context, b *broker.Broker) error {
			_, _, err := b.UpdateAccount(ctx, c.request(key, "PATCH /account"), broker.AccountChange{Name: accountName, Disabled: &disabled})
			return err
		})
	}
	if set(key, true) {
		wait(d)
		set("", false)
	}
}
