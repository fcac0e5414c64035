package access

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/x/exp/ast"

	"broker/fsm"
)

// KnowsRole returns an error that says which roles there are for one that is none.
func (d *Decider) KnowsRole(name fsm.RoleName) error {
	if _, ok := d.roles[name]; ok {
		return nil
	}
	return fmt.Errorf("there is no role %q: there are %s", name, roleNames())
}

// CheckPolicy returns what is wrong with a policy's text, a sentence each.
func (d *Decider) CheckPolicy(text string) []string {
	var all []string
	for _, p := range d.language.Check(text) {
		all = append(all, p.String())
	}
	return all
}

// LocksOut returns the action, of those that change policies, which somebody may now and could not any more once a policy
// has another text; empty: none. A nil text: once the policy is deleted.
func (d *Decider) LocksOut(who fsm.Actor, name fsm.PolicyName, text *string) (lost string, err error) {
	q := Request{Who: Identity{Account: who.Account, Token: who.Token}}
	q.Address, _ = netip.ParseAddr(who.Address) // else it is not known
	err = d.state.View(func(v *fsm.View) error {
		now := v.Policies("", everyPolicy)
		then := slices.DeleteFunc(slices.Clone(now), func(p fsm.Policy) bool { return p.Name == name })
		if text != nil {
			then = append(then, fsm.Policy{Name: name, Text: *text})
		}
		before, after := d.compiler.set(now), newPolicySet()
		for _, p := range then {
			if p.Name == name {
				after.add(p.Name, compile(p))
			} else {
				after.add(p.Name, d.compiler.one(p))
			}
		}
		g := d.grantsIn(v, who.Account)
		for _, action := range []Action{"policy:create", "policy:update", "policy:delete"} {
			for _, on := range []Resource{{Kind: KindPolicy, Name: string(name)}, {Kind: KindPolicy}} {
				q.Action, q.On = action, on
				if lost == "" && decide(&q, g, before).Allowed && !decide(&q, g, after).Allowed {
					lost = string(action)
				}
			}
		}
		return nil
	})
	return lost, err
}

// Gains returns an action that the author of a policy does not have everywhere by its roles, and would be given by the
// policy once it has that text; empty: none. Only the heads of rules are looked at: a permit gives something to its
// author when its principal may be the author, whatever its conditions are. What the policy gave before does not count.
func (d *Decider) Gains(who fsm.Actor, name fsm.PolicyName, text string) (gained string, err error) {
	err = d.state.View(func(v *fsm.View) error {
		g := d.grantsIn(v, who.Account)
		before := map[string]bool{}
		if old, ok := v.Policy(name); ok {
			for _, r := range compile(old).rules {
				before[string(r.cedar.MarshalCedar())] = true
			}
		}
		for _, r := range compile(fsm.Policy{Name: name, Text: text}).rules {
			if whom, ok := named(principalOf(r)); r.forbids || ok && !slices.Contains(g.principal, whom) || before[string(r.cedar.MarshalCedar())] {
				continue
			}
			for _, action := range actionsOf(r) {
				if !g.everywhere(action) {
					gained = string(action)
					return nil
				}
			}
		}
		return nil
	})
	return gained, err
}

// everywhere reports whether a role allows the action on everything.
func (g *grants) everywhere(action Action) bool {
	return slices.ContainsFunc(g.list, func(have grant) bool { return have.binding.Scope == fsm.Everywhere && have.role.May(action) })
}

// actionsOf returns the actions that a rule is about, sorted.
func actionsOf(r *rule) []Action {
	switch scope := (*ast.Policy)(r.cedar.AST()).Action.(type) {
	case ast.ScopeTypeEq:
		return []Action{Action(scope.Entity.ID)}
	case ast.ScopeTypeIn:
		return []Action{Action(scope.Entity.ID)}
	case ast.ScopeTypeInSet:
		var list []Action
		for _, one := range scope.Entities {
			list = append(list, Action(one.ID))
		}
		return list
	}
	return slices.Sorted(maps.Keys(Actions))
}

// NamesGroup returns a policy with a rule that names the group; empty: none does. Whoever came into that group would
// have, or be rid of, what the rule says.
func (d *Decider) NamesGroup(group fsm.GroupName) (fsm.PolicyName, error) {
	policies, err := d.policies()
	if err != nil {
		return "", err
	}
	if len(policies.unreadable) > 0 {
		return policies.unreadable[0], nil // who knows
	}
	wanted := uid(typeGroup, string(group))
	for _, r := range policies.rules {
		if r.names(wanted) {
			return r.policy, nil
		}
	}
	return "", nil
}

// names reports whether the rule names the entity as its principal or anywhere in its conditions.
func (r *rule) names(wanted cedar.EntityUID) bool {
	if id, ok := named(principalOf(r)); ok && id == wanted {
		return true
	}
	found := false
	for _, condition := range (*ast.Policy)(r.cedar.AST()).Conditions {
		ast.Inspect(ast.NewNode(condition.Body), func(n ast.IsNode) bool {
			if literal, ok := n.(ast.NodeValue); ok {
				found = found || holds(literal.Value, wanted)
			}
			return !found
		})
	}
	return found
}

// holds reports whether a literal is the entity, or a set or record with it.
func holds(v cedar.Value, wanted cedar.EntityUID) bool {
	switch v := v.(type) {
	case cedar.EntityUID:
		return v == wanted
	case cedar.Set:
		for one := range v.All() {
			if holds(one, wanted) {
				return true
			}
		}
	case cedar.Record:
		for _, one := range v.All() {
			if holds(one, wanted) {
				return true
			}
		}
	}
	return false
}
