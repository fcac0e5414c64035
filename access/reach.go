package access

import (
	"github.com/cedar-policy/cedar-go"

	"broker/fsm"
)

// Reach tells how much of what there is an account may do something to, as far as roles and the heads of policies tell.
// Everywhere and Nowhere, but for what is its own, are certain; whoever is told Somewhere asks for each thing.
func (d *Decider) Reach(who Identity, action Action) (Reach, error) {
	g, err := d.grants(who.Account)
	if err != nil || g.unknown {
		return Nowhere, err
	}
	policies, err := d.policies()
	if err != nil {
		return Nowhere, err
	}
	reach := Nowhere
	if policies.permitsSome(action, g) {
		reach = Somewhere
	}
	for _, have := range g.list {
		if !have.role.May(action) {
			continue
		}
		reach = Somewhere
		if have.binding.Scope == fsm.Everywhere && !policies.forbidsSome(action) {
			return Everywhere, nil
		}
	}
	return reach, nil
}

// forbidsSome reports whether a rule may forbid the action to somebody on some resource.
func (s *policySet) forbidsSome(action Action) bool {
	for _, h := range []*shelf{s.byAction[cedar.String(action)], &s.anyAction} {
		if h == nil {
			continue
		}
		for r := range h.all() {
			if r.forbids {
				return true
			}
		}
	}
	return len(s.unreadable) > 0
}
