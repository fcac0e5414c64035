package e2e

import (
	"math"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"broker/api/types"
)

// standing is what a lease's register holds.
type standing struct {
	rank  int // nothing, active, ending, ended: it only grows
	cause string
	end   time.Time
}

const (
	isNothing = iota
	isActive
	isEnding
	isEnded
)

func standingOf(l types.Lease) standing {
	s := standing{rank: isEnded, cause: l.Cause, end: l.ExpiresAt}
	switch l.State {
	case "pending":
		s.rank = isNothing
	case "active", "overdue", "missing":
		s.rank = isActive
	case "revoking", "stuck":
		s.rank = isEnding
	}
	return s
}

// move is one step of a lease's register. A request that also answers with the lease is two: what it does, and
// what it sees.
type move struct {
	kind      string // begin, extend, end, see, or find it not active
	certain   bool   // it took effect, or else it may have
	until     time.Time
	seen      standing
	call, ret time.Time
}

// step is the lease as one register on one machine.
func step(s standing, m move) (bool, standing) {
	switch m.kind {
	case "begin":
		return s.rank == isNothing, standing{rank: isActive, end: m.seen.end}
	case "extend":
		// Judged by the ledger's clock, which is that of this machine.
		possible := s.rank == isActive && m.call.Before(s.end)
		if possible && m.until.After(s.end) {
			s.end = m.until
		}
		return possible || !m.certain, s
	case "end":
		if s.rank == isActive {
			s.rank, s.cause = isEnding, "revoke"
		}
		return s.rank != isNothing || !m.certain, s
	case "not active":
		return s.rank > isActive || s.rank == isActive && !m.ret.Before(s.end), s
	}
	switch {
	case s.rank == isNothing || m.seen.rank < s.rank || !m.seen.end.Equal(s.end):
		return false, s
	case s.rank == isActive && m.seen.rank > isActive:
		// Nobody asked for its end: it must have come by itself, and not early.
		if m.seen.cause != "expire" || m.ret.Before(s.end) {
			return false, s
		}
	case s.rank > isActive && m.seen.cause != s.cause:
		return false, s
	}
	return true, m.seen
}

// moves returns what the deeds did to each lease's register.
func (h *history) moves(deeds []deed) map[string][]porcupine.Operation {
	out := map[string][]porcupine.Operation{}
	put := func(d deed, m move, open bool) {
		m.call, m.ret = h.began.Add(d.call), h.began.Add(d.ret)
		op := porcupine.Operation{ClientId: len(out[d.lease]), Input: m, Call: int64(d.call), Return: int64(d.ret)}
		if open {
			op.Return = math.MaxInt64
		}
		out[d.lease] = append(out[d.lease], op)
	}
	firstTry := map[string]time.Duration{}
	for _, d := range deeds {
		if at, tried := firstTry[d.key]; d.verb == issuing && (!tried || d.call < at) {
			firstTry[d.key] = d.call
		}
	}
	for _, d := range deeds { // in the order in which they ended
		see := move{kind: "see", seen: standingOf(d.seen)}
		switch {
		case d.verb == issuing && d.outcome == wasDone:
			if out[d.lease] == nil {
				first := d
				first.call = firstTry[d.key]
				put(first, move{kind: "begin", seen: see.seen}, false)
			}
			put(d, see, false)
		case d.verb == renewing:
			put(d, move{kind: "extend", until: d.until, certain: d.outcome == wasDone}, d.outcome != wasDone)
			switch {
			case d.outcome == wasDone:
				put(d, see, false)
			case d.code == "lease_not_active":
				put(d, move{kind: "not active"}, false)
			}
		case d.verb == revoking:
			put(d, move{kind: "end", certain: d.outcome == wasDone}, d.outcome != wasDone)
			if d.outcome == wasDone {
				put(d, see, false)
			}
		case d.verb == reading && d.mode == types.Linearizable && d.outcome == wasDone:
			put(d, see, false)
		}
	}
	return out
}

// leaseModel is that register, for porcupine.
func leaseModel() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return standing{} },
		Step: func(s, m, _ any) (bool, any) { return step(s.(standing), m.(move)) },
	}
}

// The model knows wrong histories when it sees them.
func TestLeaseModel(t *testing.T) {
	began := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(second int) time.Time { return began.Add(time.Duration(second) * time.Second) }
	ask := func(v verb, call, ret int, state, cause string, end int) deed {
		return deed{
			verb: v, lease: "x", outcome: wasDone, call: time.Duration(call) * time.Second, ret: time.Duration(ret) * time.Second,
			seen: types.Lease{State: state, Cause: cause, ExpiresAt: at(end)},
		}
	}
	made := ask(issuing, 0, 1, "active", "", 10)
	renew := func(call, ret, end int) deed {
		d := ask(renewing, call, ret, "active", "", end)
		d.until = at(end)
		return d
	}
	revoke := func(call, ret int) deed { return ask(revoking, call, ret, "revoking", "revoke", 10) }
	read := func(call, ret int, state, cause string, end int) deed {
		d := ask(reading, call, ret, state, cause, end)
		d.mode = types.Linearizable
		return d
	}
	maybe := func(d deed) deed {
		d.outcome = wasUnknown
		return d
	}
	over := func(d deed) deed {
		d.outcome, d.code = wasRefused, "lease_not_active"
		return d
	}
	for name, c := range map[string]struct {
		right bool
		then  []deed // after it was made
	}{
		"a whole life":                     {true, []deed{renew(2, 3, 20), read(3, 4, "active", "", 20)}},
		"revoked":                          {true, []deed{revoke(4, 5), read(5, 6, "revoked", "revoke", 10)}},
		"expired":                          {true, []deed{read(10, 11, "revoking", "expire", 10), read(11, 12, "expired", "expire", 10)}},
		"expired early":                    {false, []deed{read(8, 9, "revoking", "expire", 10)}},
		"ended unasked":                    {false, []deed{read(2, 3, "revoking", "revoke", 10)}},
		"come back":                        {false, []deed{revoke(1, 2), read(3, 4, "active", "", 10)}},
		"an end that nobody gave it":       {false, []deed{read(2, 3, "active", "", 12)}},
		"renewed after its end":            {false, []deed{renew(11, 12, 20)}},
		"renewed after it was revoked":     {false, []deed{revoke(2, 3), renew(4, 5, 20)}},
		"a renewal forgotten":              {false, []deed{renew(2, 3, 20), read(4, 5, "active", "", 10)}},
		"an unknown renewal shows late":    {true, []deed{maybe(renew(2, 3, 20)), read(4, 5, "active", "", 10), read(6, 7, "active", "", 20)}},
		"an unknown renewal goes again":    {false, []deed{maybe(renew(2, 3, 20)), read(4, 5, "active", "", 20), read(6, 7, "active", "", 10)}},
		"an unknown revocation shows late": {true, []deed{maybe(revoke(2, 3)), read(4, 5, "active", "", 10), read(6, 7, "revoked", "revoke", 10)}},
		"called over, and then active":     {false, []deed{over(renew(2, 3, 20)), read(4, 5, "active", "", 10)}},
		"called over when it was":          {true, []deed{over(renew(10, 11, 20)), read(12, 13, "expired", "expire", 10)}},
	} {
		t.Run(name, func(t *testing.T) {
			h := &history{began: began}
			if got := porcupine.CheckOperations(leaseModel(), h.moves(append([]deed{made}, c.then...))["x"]); got != c.right {
				t.Errorf("judged %t", got)
			}
		})
	}
}
