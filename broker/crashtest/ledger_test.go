package crashtest

import (
	"cmp"
	"slices"

	"github.com/fxamacker/cbor/v2"

	"broker/fsm"
)

func leases(s *fsm.State) (list []fsm.Lease) {
	must(s.View(func(v *fsm.View) error {
		list = v.Leases(fsm.LeaseSelector{}, fsm.LeasePage{Limit: 100_000, Order: fsm.OldestFirst})
		return nil
	}))
	return list
}

func lease(s *fsm.State, id fsm.LeaseID) (l fsm.Lease, found bool) {
	must(s.View(func(v *fsm.View) error { l, found = v.Lease(id); return nil }))
	return l, found
}

// leases returns the leases that a point is about.
func (p *point) leases() (ids []fsm.LeaseID) {
	w := p.inc.node.w
	if p.call != nil {
		for _, login := range p.call.names {
			if id, known := w.check.byLogin[login]; known {
				ids = append(ids, id)
			}
		}
		return ids
	}
	var one struct {
		ID fsm.LeaseID `cbor:"1,keyasint"`
	}
	if cbor.Unmarshal(p.command.Body, &one) == nil && one.ID != "" {
		if _, known := w.check.prev[one.ID]; known {
			return []fsm.LeaseID{one.ID}
		}
	}
	return nil
}

// mayHaveChanged returns the leases that are live or were. What has ended is looked at once more at the
// end of the world.
func (c *checker) mayHaveChanged() (list []fsm.Lease) {
	must(c.w.truth.View(func(v *fsm.View) error {
		seen := map[fsm.LeaseID]bool{}
		add := func(id fsm.LeaseID) {
			if l, ok := v.Lease(id); ok && !seen[id] {
				seen[id], list = true, append(list, l)
			}
		}
		for _, state := range []fsm.LeaseState{fsm.Pending, fsm.Active, fsm.Revoking} {
			for _, id := range v.LeaseIDs(state, "", 100_000) {
				add(id)
			}
		}
		for id, l := range c.prev {
			if l.State.Live() {
				add(id)
			}
		}
		return nil
	}))
	slices.SortFunc(list, func(a, b fsm.Lease) int { return cmp.Compare(a.ID, b.ID) })
	return list
}
