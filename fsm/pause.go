package fsm

import "fmt"

// PauseConnection stops every call of a connection's outside system until an instant, for maintenance.
// Ends of leases are recorded and wait. A zero UntilAt ends the pause. Value: Connection.
type PauseConnection struct {
	Name    ConnectionName `cbor:"1,keyasint"`
	UntilAt Instant        `cbor:"2,keyasint,omitempty"`
	Reason  string         `cbor:"3,keyasint,omitempty"`
}

func (*PauseConnection) commandType() CommandType { return TypePauseConnection }

func applyPauseConnection(t *txn, c *PauseConnection) (Connection, *Refusal) {
	n, ok := t.Connection(c.Name)
	if !ok {
		return n, notFound("name", "connection", string(c.Name))
	}
	if c.UntilAt != 0 && c.UntilAt <= t.now() {
		return n, &Refusal{Code: CodeInvalid, Field: "until", Message: fmt.Sprintf("%s is over already", c.UntilAt)}
	}
	if c.UntilAt == 0 && !n.Paused(t.now()) {
		return n, nil
	}
	n.PausedUntilAt, n.PauseReason = c.UntilAt, c.Reason
	n.UpdatedAt, n.Version = t.now(), t.meta.Index
	connections.put(t, n)
	e := Event{Type: EventConnectionResumed, Subject: string(c.Name)}
	if c.UntilAt != 0 {
		e.Type, e.Details = EventConnectionPaused, map[string]string{"until": c.UntilAt.String(), "reason": c.Reason}
	}
	t.record(e)
	return n, nil
}

// Paused reports whether the connection's outside system is not to be called.
func (c Connection) Paused(now Instant) bool { return now < c.PausedUntilAt }

// WhilePaused returns the refusal of what would need a call; nil when the connection is not paused.
func (c Connection) WhilePaused(now Instant) *Refusal {
	if !c.Paused(now) {
		return nil
	}
	return (&Refusal{Code: CodeConnectionPaused, Message: fmt.Sprintf("connection %q is paused until %s: %s", c.Name, c.PausedUntilAt, c.PauseReason)}).
		With("paused_until", c.PausedUntilAt.String())
}
