package fsm

import (
	"cmp"
	"fmt"
)

// lastOfLevel1 is the last type of command that every version reads. Later ones stand in the table of
// handlers with the level that they came with; see since.
const lastOfLevel1 CommandType = 90

// since marks a command that came with a feature level above 1. It is proposed only while the level in
// force is at least that.
func since(level uint64, h handler) handler {
	h.level = level
	return h
}

// handlerOf returns what applies commands of a type.
func handlerOf(t CommandType) (handler, bool) {
	h, ok := handlers[t]
	if !ok {
		h, ok = nextHandlers[t]
	}
	return h, ok
}

// Needs returns the feature level that a command needs.
func (c Command) Needs() uint64 {
	h, _ := handlerOf(c.Type)
	return cmp.Or(h.level, 1)
}

func newerData(level uint64) error {
	return fmt.Errorf("%w: feature level %d is in force, and this version reads up to level %d", ErrNewer, level, FeatureLevel)
}

// FeatureLevel returns the level in force: what every member of the cluster reads.
func (m Meta) FeatureLevel() uint64 { return max(m.Level, 1) }

// FeatureLevel returns the level in force, as far as this node has applied the log.
func (s *State) FeatureLevel() uint64 { return max(s.level.Load(), 1) }

// RaiseFeatureLevel puts a higher feature level in force. It is proposed only when every member reads it,
// and there is no way back. Value: FeatureLevelChange.
type RaiseFeatureLevel struct {
	To uint64 `cbor:"1,keyasint"`
}

// FeatureLevelChange is what RaiseFeatureLevel did. From equals To when the level was in force already.
type FeatureLevelChange struct {
	From, To uint64
}

func (*RaiseFeatureLevel) commandType() CommandType { return TypeRaiseFeatureLevel }

func applyRaiseFeatureLevel(t *txn, c *RaiseFeatureLevel) (FeatureLevelChange, *Refusal) {
	done := FeatureLevelChange{From: t.meta.FeatureLevel(), To: max(c.To, t.meta.FeatureLevel())}
	if done.From == done.To {
		return done, nil
	}
	t.meta.Level = done.To
	t.record(Event{Type: EventLevelRaised, Subject: "cluster", Details: map[string]string{
		"from": fmt.Sprint(done.From), "to": fmt.Sprint(done.To),
	}})
	return done, nil
}

// tooNew refuses a command above the level in force. The leader does not propose one; were it to, all nodes
// that read it still agree.
func (t *txn) tooNew(c Command) *Refusal {
	if need := c.Needs(); need > t.meta.FeatureLevel() {
		return LevelTooLow(need, t.meta.FeatureLevel())
	}
	return nil
}

// LevelTooLow is the refusal of what needs a higher feature level than the one in force.
func LevelTooLow(need, inForce uint64) *Refusal {
	return (&Refusal{Code: CodeLevelTooLow, Message: fmt.Sprintf(
		"this needs feature level %d, and the cluster is at level %d: upgrade the remaining nodes; where upgrades are held, then run: brokerctl cluster upgrade finalize", need, inForce)}).
		With("needs_level", fmt.Sprint(need)).With("level", fmt.Sprint(inForce))
}
