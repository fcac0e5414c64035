package fsm

import "fmt"

// RotationState says how far the exchange of a root credential has come.
type RotationState string

// The states of a rotation.
const (
	RotationRotating  RotationState = "rotating"  // either credential may be the good one: the ledger holds both
	RotationRetiring  RotationState = "retiring"  // the connection has the new one; the old one may be accepted yet
	RotationDone      RotationState = "done"      // the old one is refused
	RotationCancelled RotationState = "cancelled" // given up
)

// Rotation is the newest exchange of a connection's root credential.
type Rotation struct {
	Connection ConnectionName `cbor:"1,keyasint"`
	Number     uint64         `cbor:"2,keyasint"` // index of the entry that began it
	System     uint64         `cbor:"3,keyasint"` // number of the system whose credential it is
	State      RotationState  `cbor:"4,keyasint"`

	// Sealed is what the ledger holds besides the connection's settings, sealed as these are: the provider's plan while
	// rotating and, since it may come about late, when that was cancelled; the secret fields from before while retiring.
	Sealed []byte `cbor:"5,keyasint,omitempty"`

	Settings []byte `cbor:"6,keyasint,omitempty"` // JSON of the other fields from before, while retiring

	By          Actor   `cbor:"7,keyasint"`
	BeganAt     Instant `cbor:"8,keyasint"`
	CommittedAt Instant `cbor:"9,keyasint,omitempty"`
	EndedAt     Instant `cbor:"10,keyasint,omitempty"`
	Reason      string  `cbor:"11,keyasint,omitempty"` // why it was cancelled

	Attempts  uint64  `cbor:"12,keyasint,omitempty"` // that failed, of the present step
	LastError string  `cbor:"13,keyasint,omitempty"`
	NextTryAt Instant `cbor:"14,keyasint,omitempty"`

	// RotatedAt is when the connection last got a new credential, by this rotation or one before.
	RotatedAt Instant `cbor:"15,keyasint,omitempty"`
	Version   uint64  `cbor:"16,keyasint"`
}

// Running reports whether there is something left to do.
func (r Rotation) Running() bool {
	return r.State == RotationRotating || r.State == RotationRetiring
}

// Abandoned reports whether it was given up while it was rotating: what Sealed holds may yet come about.
func (r Rotation) Abandoned() bool { return r.State == RotationCancelled && len(r.Sealed) > 0 }

func (r Rotation) ref() string { return string(r.Connection) }

// BeginRotation records what is planned, before anything is changed at the outside system. Value: Rotation.
type BeginRotation struct {
	Connection ConnectionName `cbor:"1,keyasint"`
	System     uint64         `cbor:"2,keyasint"` // that the plan was made for

	// After is the number of the rotation that the leader knew as the newest one, zero for none: when that was cancelled,
	// the plan covers what was planned then.
	After uint64 `cbor:"3,keyasint,omitempty"`

	Sealed []byte `cbor:"4,keyasint"` // the plan
}

// CommitRotation gives the connection the new credential, which was tried. The one before is kept until the
// rotation is finished. Value: Rotation.
type CommitRotation struct {
	Connection ConnectionName `cbor:"1,keyasint"`
	Number     uint64         `cbor:"2,keyasint"`
	Settings   []byte         `cbor:"3,keyasint"`
	Sealed     []byte         `cbor:"4,keyasint"`
}

// FinishRotation forgets the credential before, which the outside system refuses now. Value: Rotation.
type FinishRotation struct {
	Connection ConnectionName `cbor:"1,keyasint"`
	Number     uint64         `cbor:"2,keyasint"`
}

// CancelRotation gives a rotation up. One that is rotating leaves the connection the credential that it has; one
// that is retiring leaves the old credential as it is at the outside system. Value: Rotation.
type CancelRotation struct {
	Connection ConnectionName `cbor:"1,keyasint"`
	Number     uint64         `cbor:"2,keyasint,omitempty"` // zero: whichever is running
	Reason     string         `cbor:"3,keyasint"`

	// Revert gives the connection the credential from before the commit again: it is good, and the new one is not.
	Revert bool `cbor:"4,keyasint,omitempty"`
}

// RecordRotationTrouble says that a step of a rotation failed and when it is tried again. Value: Rotation.
type RecordRotationTrouble struct {
	Connection ConnectionName `cbor:"1,keyasint"`
	Number     uint64         `cbor:"2,keyasint"`
	Error      string         `cbor:"3,keyasint"`
	NextTryAt  Instant        `cbor:"4,keyasint"`
}

func (*BeginRotation) commandType() CommandType         { return TypeBeginRotation }
func (*CommitRotation) commandType() CommandType        { return TypeCommitRotation }
func (*FinishRotation) commandType() CommandType        { return TypeFinishRotation }
func (*CancelRotation) commandType() CommandType        { return TypeCancelRotation }
func (*RecordRotationTrouble) commandType() CommandType { return TypeRecordRotationTrouble }

func (c *BeginRotation) sealedValues() [][]byte  { return [][]byte{c.Sealed} }
func (c *CommitRotation) sealedValues() [][]byte { return [][]byte{c.Sealed} }

var rotations = table[Rotation]{
	bucket: "rotations",
	key:    func(r *Rotation) []byte { return []byte(r.Connection) },
}

// Rotation returns the newest rotation of a connection's root credential.
func (v *View) Rotation(name ConnectionName) (Rotation, bool) {
	return rotations.get(v.tx, []byte(name))
}

// RunningRotations returns the rotations that are not at their end, in order of their connections' names.
func (v *View) RunningRotations() (list []Rotation) {
	rotations.scan(v.tx, nil, func(r Rotation) bool {
		if r.Running() {
			list = append(list, r)
		}
		return true
	})
	return list
}

// whileRotating refuses what would make it unknown which credential of a connection is good.
func (t *txn) whileRotating(name ConnectionName) *Refusal {
	r, ok := t.Rotation(name)
	if !ok || !r.Running() {
		return nil
	}
	return (&Refusal{Code: CodeRotationRunning, Message: fmt.Sprintf("the root credential of connection %q is being exchanged since %s: wait for its end, or give it up with `brokerctl connection rotate %s --cancel`", name, r.BeganAt, name)}).
		With("state", string(r.State))
}

// runningRotation returns the rotation of a connection, which is to be the one named and in a state; any that is
// running when neither is said.
func (t *txn) runningRotation(name ConnectionName, number uint64, state RotationState) (Rotation, *Refusal) {
	r, ok := t.Rotation(name)
	switch {
	case !ok:
		if _, there := t.Connection(name); !there {
			return r, notFound("name", "connection", string(name))
		}
	case (number == 0 || r.Number == number) && (state == "" && r.Running() || r.State == state):
		return r, nil
	}
	return r, &Refusal{Code: CodeRotationNotRunning, Message: fmt.Sprintf("no exchange of the root credential of connection %q is under way", name)}
}

func (t *txn) putRotation(r Rotation) Rotation {
	r.Version = t.meta.Index
	rotations.put(t, r)
	return r
}

// recordRotation records an event, which names the rotation by its number.
func (t *txn) recordRotation(what EventType, r Rotation, details map[string]string) {
	if details == nil {
		details = map[string]string{}
	}
	details["rotation"] = fmt.Sprint(r.Number)
	t.record(Event{Type: what, Subject: string(r.Connection), Details: details})
}

func applyBeginRotation(t *txn, c *BeginRotation) (Rotation, *Refusal) {
	var none Rotation
	n, ok := t.Connection(c.Connection)
	if !ok {
		return none, notFound("name", "connection", string(c.Connection))
	}
	if r := going(TargetConnection, string(c.Connection), n.Going); r != nil {
		return none, r
	}
	if r := n.WhilePaused(t.now()); r != nil {
		return none, r
	}
	if r := t.whileRotating(c.Connection); r != nil {
		return none, r
	}
	before, _ := t.Rotation(c.Connection)
	if c.System != n.System || c.After != before.Number {
		return none, &Refusal{Code: CodeVersionMismatch, Message: fmt.Sprintf("connection %q was changed meanwhile: try again", c.Connection)}
	}
	r := t.putRotation(Rotation{
		Connection: c.Connection, Number: t.meta.Index, System: c.System, State: RotationRotating, Sealed: c.Sealed,
		By: t.actor, BeganAt: t.now(), RotatedAt: before.RotatedAt,
	})
	t.recordRotation(EventRotationBegun, r, nil)
	return r, nil
}

func applyCommitRotation(t *txn, c *CommitRotation) (Rotation, *Refusal) {
	r, refusal := t.runningRotation(c.Connection, c.Number, RotationRotating)
	if refusal != nil {
		return r, refusal
	}
	n, _ := t.Connection(r.Connection)
	s, ok := t.System(r.Connection, r.System)
	if !ok || n.System != r.System {
		return r, &Refusal{Code: CodeVersionMismatch, Message: fmt.Sprintf("connection %q points at another system than its rotation", c.Connection)}
	}
	r.Settings, r.Sealed = s.Settings, s.Sealed
	r.State, r.CommittedAt, r.RotatedAt = RotationRetiring, t.now(), t.now()
	r.Attempts, r.LastError, r.NextTryAt = 0, "", 0
	t.putCredential(n, s, c.Settings, c.Sealed)
	r = t.putRotation(r)
	t.recordRotation(EventRotationCommitted, r, nil)
	return r, nil
}

// putCredential gives a connection another root credential. Its version changes too: what was worked out from the
// settings before must not bring back the credential from before.
func (t *txn) putCredential(n Connection, s System, settings, sealed []byte) {
	s.Settings, s.Sealed, s.UpdatedAt, s.Version = settings, sealed, t.now(), t.meta.Index
	n.UpdatedAt, n.Version = t.now(), t.meta.Index
	systems.put(t, s)
	connections.put(t, n)
}

func applyFinishRotation(t *txn, c *FinishRotation) (Rotation, *Refusal) {
	r, refusal := t.runningRotation(c.Connection, c.Number, RotationRetiring)
	if refusal != nil {
		return r, refusal
	}
	r.Settings, r.Sealed = nil, nil
	r.State, r.EndedAt = RotationDone, t.now()
	r.Attempts, r.LastError, r.NextTryAt = 0, "", 0
	r = t.putRotation(r)
	t.recordRotation(EventRotationFinished, r, nil)
	return r, nil
}

func applyCancelRotation(t *txn, c *CancelRotation) (Rotation, *Refusal) {
	r, refusal := t.runningRotation(c.Connection, c.Number, "")
	if refusal != nil {
		return r, refusal
	}
	was := r.State
	n, _ := t.Connection(r.Connection)
	s, ok := t.System(r.Connection, r.System)
	if c.Revert {
		if was != RotationRetiring || !ok || n.System != r.System {
			return r, &Refusal{Code: CodeRotationNotRunning, Message: fmt.Sprintf("connection %q has no credential from before to go back to", c.Connection)}
		}
		t.putCredential(n, s, r.Settings, r.Sealed)
	}
	r.Reason = c.Reason
	if was == RotationRetiring {
		r.Settings, r.Sealed = nil, nil
	} // else the plan stays: whoever carries it out may stand still and go on later, and then nothing else opens the system
	r.State, r.EndedAt, r.NextTryAt = RotationCancelled, t.now(), 0
	r = t.putRotation(r)
	details := map[string]string{"reason": c.Reason, "state": string(was)}
	if c.Revert {
		details["credential"] = "reverted"
	}
	t.recordRotation(EventRotationCancelled, r, details)
	return r, nil
}

func applyRecordRotationTrouble(t *txn, c *RecordRotationTrouble) (Rotation, *Refusal) {
	r, refusal := t.runningRotation(c.Connection, c.Number, "")
	if refusal != nil {
		return r, refusal
	}
	isNew := r.LastError != c.Error
	r.Attempts++
	r.LastError, r.NextTryAt = c.Error, c.NextTryAt
	r = t.putRotation(r)
	if isNew { // an error that repeats itself is one event
		t.recordRotation(EventRotationTrouble, r, map[string]string{"error": c.Error, "state": string(r.State)})
	}
	return r, nil
}

func recallRotation(v *View, ref string) (any, bool) {
	return recalled(v.Rotation(ConnectionName(ref)))
}
