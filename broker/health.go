package broker

import (
	"context"
	"time"

	"broker/fsm"
)

// ConnectionHealth is what the leader knows of an outside system.
type ConnectionHealth struct {
	Connection fsm.ConnectionName
	System     uint64
	Current    bool // the connection points at this system now

	Available bool      // false: nothing is issued, renewed or removed there until a probe succeeds
	Since     time.Time // it has been unavailable since; zero when it is available
	Err       string    // redacted
	NextTry   time.Time

	PausedUntil time.Time // zero: not paused
	Waiting     int       // logins that are to be removed
}

// Health returns the state of a connection's outside systems, of all connections when name is empty.
// Only the leader knows it: elsewhere it is ErrNotLeader.
func (b *Broker) Health(ctx context.Context, name fsm.ConnectionName) ([]ConnectionHealth, error) {
	p, _, leave, err := b.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	list, err := p.systems(name)
	if err != nil {
		return nil, err
	}
	health := make([]ConnectionHealth, len(list))
	for i, s := range list {
		h := ConnectionHealth{
			Connection: s.Connection, System: s.Number, Current: s.current,
			PausedUntil: p.pausedUntil(s.Connection), Waiting: p.revoker(system{s.Connection, s.Number}).size(),
		}
		g := p.guard(system{s.Connection, s.Number})
		g.mu.Lock()
		if h.Available = g.openedAt.IsZero(); !h.Available {
			h.Since, h.NextTry, h.Err = g.openedAt, g.nextTry, g.err.Error()
		}
		g.mu.Unlock()
		health[i] = h
	}
	return health, nil
}

// knownSystem is an outside system with what its connection says of it.
type knownSystem struct {
	fsm.System
	connection fsm.Connection
	current    bool
}

// systems returns the outside systems of a connection, of all connections when name is empty.
func (p *period) systems(name fsm.ConnectionName) ([]knownSystem, error) {
	var list []knownSystem
	found := name == ""
	err := p.view(func(v *fsm.View) {
		for _, s := range v.Systems(name) {
			if c, ok := v.Connection(s.Connection); ok {
				list = append(list, knownSystem{s, c, c.System == s.Number})
				found = true
			}
		}
	})
	if err == nil && !found {
		err = notFoundConnection(name)
	}
	return list, err
}
