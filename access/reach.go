package access

import (
	"github.com/cedar-policy/cedar-go"

	"broker/fsm"
)

// Reach tells how much of what there is an account may do something to. Everywhere and Nowhere, but for what is its own,
// are certain; whoever is told Somewhere asks for each thing.
func (d *Decider) Reach(who Identity, action Action) (Reach, error) {
	g, err := d.grants(who.Account)
	if err != nil {
		return Nowhere, err
	}
	policies, err := d.policies()
	if err != nil {
		return Nowhere, err
	}
	permits, forbids := policies.speakOf(action)
	reach := Nowhere
	if permits {
		reach = Somewhere
	}
	for _, have := range g.list {
		if !have.role.May(action) {
			continue
		}
		reach = Somewhere
		if have.binding.Scope == fsm.Everywhere && !forbids {
			return Everywhere, nil
		}
	}
	return reach, nil
}

// speakOf reports whether a rule may permit or forbid an action.
func (s *policySet) speakOf(action Action) (permits, forbids bool) {
	if len(s.unreadable) > 0 {
		return true, true
	}
	for _, h := range []*shelf{s.byAction[cedar.String(action)], &s.anyAction} {
		if h == nil {
			continue
		}
		for r := range h.all() {
			permits, forbids = permits || !r.forbids, forbids || r.forbids
		}
	}
	return permits, forbids
}
