package broker

import (
	"cmp"
	"slices"
	"time"

	"broker/fsm"
)

// Figures is what a leader holds in memory, in numbers.
type Figures struct {
	Wheel     int       // leases in the wheel
	HorizonAt time.Time // leases due later are not in the wheel yet

	// Connections are those whose outside systems were called in this period, in order of name; of one that
	// pointed at several systems, all of them together.
	Connections []ConnectionFigures
}

// ConnectionFigures is what the leader knows of a connection's outside systems.
type ConnectionFigures struct {
	Name      fsm.ConnectionName
	Available bool // none of them is left alone because it does not answer
	Waiting   int  // logins that are to be removed
}

// Figures returns what this node holds as the leader, and false when it does not lead. It calls nothing
// and begins nothing.
func (b *Broker) Figures() (Figures, bool) {
	p := b.period.Load()
	if p == nil {
		return Figures{}, false
	}
	p.mu.Lock()
	f := Figures{Wheel: p.wheel.Len(), HorizonAt: p.horizonAt.Time()}
	guards, revokers := make([]*guard, 0, len(p.guards)), make([]*revoker, 0, len(p.revokers))
	for _, g := range p.guards {
		guards = append(guards, g)
	}
	for _, r := range p.revokers {
		revokers = append(revokers, r)
	}
	p.mu.Unlock()
	byName := map[fsm.ConnectionName]*ConnectionFigures{}
	of := func(s system) *ConnectionFigures {
		c := byName[s.connection]
		if c == nil {
			c = &ConnectionFigures{Name: s.connection, Available: true}
			byName[s.connection] = c
		}
		return c
	}
	for _, g := range guards {
		c := of(g.system)
		c.Available = c.Available && g.closed()
	}
	for _, r := range revokers {
		of(r.system).Waiting += r.size()
	}
	for _, c := range byName {
		f.Connections = append(f.Connections, *c)
	}
	slices.SortFunc(f.Connections, func(a, b ConnectionFigures) int { return cmp.Compare(a.Name, b.Name) })
	return f, true
}

// closed reports whether the breaker lets calls through.
func (g *guard) closed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.openedAt.IsZero()
}
