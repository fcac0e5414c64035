package providertest

import (
	"context"

	"broker/providers"
)

// Op names a Backend method.
type Op string

// The operations that the fake records and that can be made to fail.
const (
	OpCheck         Op = "check"
	OpCreate        Op = "create"
	OpRenew         Op = "renew"
	OpRevoke        Op = "revoke"
	OpConfirmAbsent Op = "confirm_absent"
	OpList          Op = "list"
	OpPlan          Op = "plan_rotation"
	OpRotate        Op = "rotate"
	OpRetire        Op = "retire"
	OpLogIn         Op = "log_in"
)

// Fault is a way in which a call fails.
type Fault uint8

// The faults.
const (
	// FaultNone lets the call succeed.
	FaultNone Fault = iota

	// FaultUnreachable fails with KindUnavailable and NotSent; nothing is done.
	FaultUnreachable

	// FaultRefuse fails with KindRejected; nothing is done.
	FaultRefuse

	// FaultLoseCall fails with KindUnknown; nothing is done.
	FaultLoseCall

	// FaultLoseAnswer does it and fails with KindUnknown.
	FaultLoseAnswer

	// FaultHang does nothing, waits until the call's context is done and fails with KindUnknown.
	FaultHang

	// FaultLate is FaultHang for a call that stays on its way: it is done when Deliver is called.
	FaultLate

	// FaultHalf makes a Create's login and fails with KindRejected; a call for many logins does it
	// for every second one in the order of names and answers for no other.
	FaultHalf

	// FaultHangAfter does it, waits until the call's context is done and fails with KindUnknown.
	FaultHangAfter
)

type plannedFault struct {
	fault Fault
	times int // how many calls are left; negative: all
}

// Fail makes every call of the operation fail in that way until Heal.
func (f *Fake) Fail(op Op, fault Fault) { f.FailTimes(op, fault, -1) }

// FailTimes makes the next calls of the operation fail in that way, as many as times says, after
// those planned before.
func (f *Fake) FailTimes(op Op, fault Fault, times int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults[op] = append(f.faults[op], plannedFault{fault, times})
}

// Heal forgets the faults planned for the operations, for all when none is named.
func (f *Fake) Heal(ops ...Op) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(ops) == 0 {
		clear(f.faults)
	}
	for _, op := range ops {
		delete(f.faults, op)
	}
}

// Deliver lets the calls that FaultLate held arrive, in the order in which they were sent, and
// returns how many there were.
func (f *Fake) Deliver() int {
	f.mu.Lock()
	late := f.late
	f.late = nil
	f.mu.Unlock()
	for _, call := range late {
		call()
	}
	return len(late)
}

// nextFaultLocked takes the next planned fault of the operation.
func (f *Fake) nextFaultLocked(op Op) Fault {
	plan := f.faults[op]
	if len(plan) == 0 {
		return FaultNone
	}
	fault := plan[0].fault
	if plan[0].times > 0 {
		plan[0].times--
	}
	if plan[0].times == 0 {
		f.faults[op] = plan[1:]
	}
	return fault
}

// arrive records a call and plays its fault. do does the call's work for the names at the indexes
// that pass keep. It returns nil when the work was done and may be answered for.
func (f *Fake) arrive(ctx context.Context, call FakeCall, root string, do func(keep func(i int) bool)) *providers.Error {
	if ctx.Err() != nil {
		return &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: ctx.Err()}
	}
	f.mu.Lock()
	call.Fault = f.nextFaultLocked(call.Op)
	call.At = f.now()
	f.calls = append(f.calls, call)
	wrongRoot := !f.acceptsLocked(root)
	f.mu.Unlock()

	all := func(int) bool { return true }
	if wrongRoot && call.Fault != FaultUnreachable && call.Fault != FaultHang {
		return &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: errFault("wrong root password")}
	}
	switch call.Fault {
	case FaultUnreachable:
		return &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: errFault("connection refused")}
	case FaultRefuse:
		return providers.Errorf(providers.KindRejected, "%s: the system refused", call.Op)
	case FaultLoseCall:
		return providers.Errorf(providers.KindUnknown, "%s: connection lost", call.Op)
	case FaultLoseAnswer:
		do(all)
		return providers.Errorf(providers.KindUnknown, "%s: connection lost", call.Op)
	case FaultHangAfter:
		do(all)
		<-ctx.Done()
		return &providers.Error{Kind: providers.KindUnknown, Err: ctx.Err()}
	case FaultLate:
		f.mu.Lock()
		f.late = append(f.late, func() { do(all) })
		f.mu.Unlock()
		fallthrough
	case FaultHang:
		<-ctx.Done()
		return &providers.Error{Kind: providers.KindUnknown, Err: ctx.Err()}
	case FaultHalf:
		do(func(i int) bool { return i%2 == 0 })
		if call.Op == OpCreate {
			return providers.Errorf(providers.KindRejected, "%s: a later statement failed", call.Op)
		}
		return nil
	}
	do(all)
	return nil
}

type errFault string

func (e errFault) Error() string { return string(e) }
