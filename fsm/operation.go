package fsm

import (
	"fmt"
)

// OperationID is a ULID.
type OperationID string

// OperationKind says what an operation does to the leases it chose.
type OperationKind string

// The kinds of operations.
const (
	OperationRevoke OperationKind = "revoke"
	OperationRetry  OperationKind = "retry"  // try to remove their logins now
	OperationForget OperationKind = "forget" // give their logins up
	OperationDelete OperationKind = "delete" // revoke them, then delete what they belong to
)

// OperationState says whether an operation goes on.
type OperationState string

// The states of an operation.
const (
	OperationRunning   OperationState = "running"
	OperationDone      OperationState = "done"
	OperationCancelled OperationState = "cancelled"
)

// Operation is work on many leases that goes on by itself, whoever leads.
type Operation struct {
	ID       OperationID    `cbor:"1,keyasint"`
	Kind     OperationKind  `cbor:"2,keyasint"`
	Selector LeaseSelector  `cbor:"3,keyasint"`
	Reason   string         `cbor:"4,keyasint,omitempty"`
	Target   Target         `cbor:"5,keyasint"` // of a deletion
	State    OperationState `cbor:"6,keyasint"`

	Cursor   LeaseID `cbor:"7,keyasint,omitempty"` // every chosen lease up to this one has been begun
	AllBegun bool    `cbor:"8,keyasint,omitempty"`
	Total    uint64  `cbor:"9,keyasint"`            // leases chosen when it was made
	Begun    uint64  `cbor:"10,keyasint,omitempty"` // leases whose state it changed
	Done     uint64  `cbor:"11,keyasint,omitempty"` // of those, leases that are at their end
	Stuck    uint64  `cbor:"12,keyasint,omitempty"` // of those, leases that are stuck now

	By        Actor   `cbor:"13,keyasint"`
	CreatedAt Instant `cbor:"14,keyasint"`
	UpdatedAt Instant `cbor:"15,keyasint"`
	EndedAt   Instant `cbor:"16,keyasint,omitempty"`
	Version   uint64  `cbor:"17,keyasint"`
}

func (o Operation) ref() string { return string(o.ID) }

// CreateOperation begins an operation. A deletion refuses new leases of its target from then on.
// Value: Operation.
type CreateOperation struct {
	ID        OperationID   `cbor:"1,keyasint"`
	Kind      OperationKind `cbor:"2,keyasint"`
	Selector  LeaseSelector `cbor:"3,keyasint"`
	Reason    string        `cbor:"4,keyasint,omitempty"`
	Total     uint64        `cbor:"5,keyasint"`
	Target    Target        `cbor:"6,keyasint"`
	IfVersion uint64        `cbor:"7,keyasint,omitempty"` // of the target
}

// Revocation is an operation that another command makes along with its own work, so that there is never
// one without the other.
type Revocation struct {
	Operation CreateOperation `cbor:"1,keyasint"`           // of kind OperationRevoke
	Key       *IdempotencyKey `cbor:"2,keyasint,omitempty"` // bound to it as the key of a CreateOperation would be
}

// AdvanceOperation does an operation's work on the next leases it chose. Value: Advanced.
type AdvanceOperation struct {
	ID     OperationID `cbor:"1,keyasint"`
	Leases []LeaseID   `cbor:"2,keyasint,omitempty"`
	Cursor LeaseID     `cbor:"3,keyasint,omitempty"`
	Last   bool        `cbor:"4,keyasint,omitempty"` // there are no more
}

// Advanced is what an AdvanceOperation did.
type Advanced struct {
	Operation Operation
	Leases    []Lease // those it changed
}

// FinishOperation ends an operation whose leases are all at their end, and deletes the target of a
// deletion. Value: Operation.
type FinishOperation struct {
	ID OperationID `cbor:"1,keyasint"`
}

// CancelOperation stops an operation. What it has begun goes on; the target of a deletion stays.
// Value: Operation.
type CancelOperation struct {
	ID OperationID `cbor:"1,keyasint"`
}

func (*CreateOperation) commandType() CommandType  { return TypeCreateOperation }
func (*AdvanceOperation) commandType() CommandType { return TypeAdvanceOperation }
func (*FinishOperation) commandType() CommandType  { return TypeFinishOperation }
func (*CancelOperation) commandType() CommandType  { return TypeCancelOperation }

func applyCreateOperation(t *txn, c *CreateOperation) (Operation, *Refusal) {
	if r := t.mayName(c.ID); r != nil {
		return Operation{}, r
	}
	switch c.Kind {
	case OperationRevoke, OperationRetry, OperationForget:
	case OperationDelete:
		if r := t.markGoing(c.Target, c.ID, c.IfVersion); r != nil {
			return Operation{}, r
		}
	default:
		return Operation{}, badName("kind of operation", string(c.Kind))
	}
	return t.beginOperation(c), nil
}

// mayName refuses an id that cannot be a new operation's.
func (t *txn) mayName(id OperationID) *Refusal {
	if id == "" {
		return badName("operation", string(id))
	}
	if _, ok := t.Operation(id); ok {
		return exists("", "operation", string(id))
	}
	return nil
}

func (t *txn) beginOperation(c *CreateOperation) Operation {
	o := Operation{
		ID: c.ID, Kind: c.Kind, Selector: c.Selector, Reason: c.Reason, Target: c.Target, State: OperationRunning,
		Total: c.Total, By: t.actor, CreatedAt: t.now(), UpdatedAt: t.now(), Version: t.meta.Index,
	}
	if o.Kind == OperationDelete {
		o.Selector = c.Target.Selector()
	} else if last := t.now() + 1; o.Selector.IssuedBefore == 0 || o.Selector.IssuedBefore > last {
		o.Selector.IssuedBefore = last // it never reaches leases that are issued after it was asked for
	}
	operations.put(t, o)
	t.recordOperation(EventOperationCreated, o)
	return o
}

// mayRevoke refuses a revocation that cannot be begun. Nil, there being none to begin, is fine.
func (t *txn) mayRevoke(r *Revocation) *Refusal {
	switch {
	case r == nil:
		return nil
	case t.meta.Restored != nil:
		return t.meta.Restored.Refusal()
	case r.Operation.Kind != OperationRevoke:
		return badName("revocation", string(r.Operation.Kind))
	case r.Key != nil && len(r.Key.ID) == 0:
		return badName("key", "")
	}
	return t.mayName(r.Operation.ID)
}

// beginRevocation begins what mayRevoke did not refuse.
func (t *txn) beginRevocation(r *Revocation) {
	if r == nil {
		return
	}
	o := t.beginOperation(&r.Operation)
	if r.Key != nil {
		keys.put(t, keyRecord{ID: r.Key.ID, Body: r.Key.Body, Type: TypeCreateOperation, Ref: o.ref(), CreatedAt: t.now()})
	}
}

func applyAdvanceOperation(t *txn, c *AdvanceOperation) (Advanced, *Refusal) {
	o, refusal := t.runningOperation(c.ID)
	if refusal != nil {
		return Advanced{}, refusal
	}
	t.actor = o.By // history names who asked for it
	before := o.Cursor
	o.Cursor, o.AllBegun, o.UpdatedAt, o.Version = max(o.Cursor, c.Cursor), o.AllBegun || c.Last, t.now(), t.meta.Index
	var a Advanced
	for _, id := range c.Leases {
		l, ok := t.Lease(id)
		if !ok || id <= before {
			continue // begun by an earlier command
		}
		switch {
		case o.begins() && (l.State == Pending || l.State == Active):
			l.Operation = o.ID
			l = t.beginEnd(l, CauseRevoke, o.Reason)
		case o.Kind == OperationRetry && l.State == Revoking:
			l = t.retry(l)
			o.Done++
		case o.Kind == OperationForget && l.State == Revoking:
			l = t.forget(l, o.Reason)
			o.Done++
		default:
			continue
		}
		o.Begun++
		a.Leases = append(a.Leases, l)
	}
	operations.put(t, o)
	a.Operation = o
	return a, nil
}

// begins reports whether the operation begins the end of the leases it chose.
func (o Operation) begins() bool { return o.Kind == OperationRevoke || o.Kind == OperationDelete }

// Complete reports whether every lease that the operation began is at its end.
func (o Operation) Complete() bool { return o.AllBegun && o.Done >= o.Begun }

func applyFinishOperation(t *txn, c *FinishOperation) (Operation, *Refusal) {
	o, refusal := t.runningOperation(c.ID)
	if refusal != nil {
		return o, refusal
	}
	if !o.Complete() {
		return o, &Refusal{Code: CodeOperationRunning, Message: fmt.Sprintf("operation %s is not complete: %d of %d leases are at their end", o.ID, o.Done, o.Begun)}
	}
	if o.Kind == OperationDelete {
		if live := t.liveOf(o.Target); live > 0 {
			return o, &Refusal{Code: CodeOperationRunning, Message: fmt.Sprintf("%s still has %d live leases", o.Target, live)}
		}
		t.actor = o.By
		t.deleteTarget(o.Target)
	}
	return t.endOperation(o, OperationDone, EventOperationDone), nil
}

func applyCancelOperation(t *txn, c *CancelOperation) (Operation, *Refusal) {
	o, refusal := t.runningOperation(c.ID)
	if refusal != nil {
		return o, refusal
	}
	if o.Kind == OperationDelete {
		t.unmarkGoing(o.Target)
	}
	return t.endOperation(o, OperationCancelled, EventOperationCancelled), nil
}

func (t *txn) endOperation(o Operation, state OperationState, what EventType) Operation {
	o.State, o.UpdatedAt, o.EndedAt, o.Version = state, t.now(), t.now(), t.meta.Index
	operations.put(t, o)
	t.recordOperation(what, o)
	return o
}

func (t *txn) runningOperation(id OperationID) (Operation, *Refusal) {
	o, ok := t.Operation(id)
	switch {
	case !ok:
		return o, notFound("id", "operation", string(id))
	case o.State != OperationRunning:
		return o, &Refusal{Code: CodeOperationEnded, Message: fmt.Sprintf("operation %s is %s since %s", id, o.State, o.EndedAt)}
	}
	return o, nil
}

func (t *txn) recordOperation(what EventType, o Operation) {
	details := map[string]string{"kind": string(o.Kind), "leases": fmt.Sprint(max(o.Total, o.Begun))}
	if o.Target != (Target{}) {
		details["target"] = o.Target.String()
	}
	if o.Reason != "" {
		details["reason"] = o.Reason
	}
	t.record(Event{Type: what, Subject: string(o.ID), Details: details})
}

// countProgress tells a lease's operation that its lease ended or got stuck, or is stuck no more.
func (t *txn) countProgress(old, l Lease) {
	ended := old.State == Revoking && !l.State.Live()
	if l.Operation == "" || old.Stuck == l.Stuck && !ended {
		return
	}
	o, ok := t.Operation(l.Operation)
	if !ok {
		return
	}
	if ended {
		o.Done++
	}
	switch {
	case l.Stuck && !old.Stuck:
		o.Stuck++
	case old.Stuck && !l.Stuck && o.Stuck > 0:
		o.Stuck--
	}
	o.UpdatedAt, o.Version = t.now(), t.meta.Index
	operations.put(t, o)
}

// Operation returns the operation with that id.
func (v *View) Operation(id OperationID) (Operation, bool) { return operations.read(v, []byte(id)) }

// Operations returns up to limit operations, oldest first, beginning after the one named.
func (v *View) Operations(after OperationID, limit int) []Operation {
	return page(v.tx, operations, []byte(after), limit, nil)
}

// RunningOperations returns the operations that go on, oldest first.
func (v *View) RunningOperations() []Operation {
	var list []Operation
	eachRow(v.tx, "operations_by_state", []byte(OperationRunning), nil, false, func(id []byte) bool {
		if o, ok := v.Operation(OperationID(id)); ok {
			list = append(list, o)
		}
		return true
	})
	return list
}
