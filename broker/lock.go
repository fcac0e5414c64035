package broker

import (
	"context"
	"time"

	"broker/fsm"
)

// LockSpec says what lock to make.
type LockSpec struct {
	Scope  fsm.LockScope
	Reason string
	Until  time.Time // zero: until it is deleted
	Revoke bool      // revoke what the lock covers, too
}

// LockChange says what to change; nil fields stay.
type LockChange struct {
	ID        fsm.LockID
	Reason    *string
	Until     *time.Time // the zero time: until it is deleted
	IfVersion uint64
}

// CreateLock makes a lock. With Revoke it also begins an operation that revokes the leases which the
// lock covers, in the same step, so that none is issued behind it. Errors as for changes of configuration.
func (b *Broker) CreateLock(ctx context.Context, req Request, spec LockSpec) (fsm.Lock, *fsm.Operation, error) {
	var ps problems
	ps.scope(spec.Scope)
	ps.reason("reason", spec.Reason)
	if err := ps.err(); err != nil {
		return fsm.Lock{}, nil, err
	}
	id, err := b.newID()
	if err != nil {
		return fsm.Lock{}, nil, err
	}
	body := &fsm.CreateLock{ID: fsm.LockID(id), Scope: spec.Scope, Reason: spec.Reason, UntilAt: fsm.At(spec.Until)}
	if !spec.Revoke {
		lock, err := change[fsm.Lock](ctx, b, req, nil, body)
		return lock, nil, err
	}
	return changeAndRevoke[fsm.Lock](ctx, b, req, spec.Scope.Selector(), "locked: "+spec.Reason, func(r *fsm.Revocation) fsm.Body {
		body.Revoke = r
		return body
	})
}

// UpdateLock changes a lock's reason or end.
func (b *Broker) UpdateLock(ctx context.Context, req Request, c LockChange) (fsm.Lock, error) {
	var ps problems
	if c.Reason != nil {
		ps.reason("reason", *c.Reason)
	}
	body := &fsm.UpdateLock{ID: c.ID, Reason: c.Reason, IfVersion: c.IfVersion}
	if c.Until != nil {
		until := fsm.At(*c.Until)
		body.UntilAt = &until
	}
	return change[fsm.Lock](ctx, b, req, ps, body)
}

// DeleteLock ends a lock.
func (b *Broker) DeleteLock(ctx context.Context, req Request, id fsm.LockID, ifVersion uint64) error {
	_, err := change[fsm.Lock](ctx, b, req, nil, &fsm.DeleteLock{ID: id, IfVersion: ifVersion})
	return err
}
