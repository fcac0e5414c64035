package broker

import (
	"context"
	"fmt"
	"slices"

	"broker/fsm"
)

// Rules knows what roles there are and what policies mean. Package access provides it. Its methods are safe for
// concurrent use.
type Rules interface {
	// KnowsRole returns an error that says which roles there are for one that is none.
	KnowsRole(fsm.RoleName) error

	// CheckPolicy returns what is wrong with a policy's text, a sentence each.
	CheckPolicy(text string) []string

	// LocksOut returns the action, of those that change policies, which the actor may now and could not any more once
	// the policy has that text, or is deleted when the text is nil. Empty: none.
	LocksOut(who fsm.Actor, name fsm.PolicyName, text *string) (string, error)

	// Gains returns an action that the actor does not have everywhere by its roles and would be given by the policy
	// with that text. Empty: none.
	Gains(who fsm.Actor, name fsm.PolicyName, text string) (string, error)

	// NamesGroup returns a policy that names the group. Empty: none does.
	NamesGroup(fsm.GroupName) (fsm.PolicyName, error)
}

// BindingSpec says which role to give to whom.
type BindingSpec struct {
	Role    fsm.RoleName
	Account fsm.AccountName // either this
	Group   fsm.GroupName   // or that
	Scope   fsm.Scope
}

// CreateBinding gives a role. Errors as for changes of configuration.
func (b *Broker) CreateBinding(ctx context.Context, req Request, spec BindingSpec) (fsm.Binding, error) {
	var ps problems
	if b.Rules == nil {
		ps.add("role", "this broker gives no roles")
	} else if err := b.Rules.KnowsRole(spec.Role); err != nil {
		ps.add("role", "%v", err)
	}
	if (spec.Account == "") == (spec.Group == "") {
		ps.add("account", "say who gets the role: an account or a group, not both")
	}
	if !fsm.ValidScope(string(spec.Scope)) {
		ps.add("scope", "%q is no scope: give %s", spec.Scope, fsm.ScopeRule)
	}
	id, err := b.newID()
	if err != nil {
		return fsm.Binding{}, err
	}
	return change[fsm.Binding](ctx, b, req, ps, &fsm.CreateBinding{
		ID: fsm.BindingID(id), Role: spec.Role, Account: spec.Account, Group: spec.Group, Scope: spec.Scope,
	})
}

// DeleteBinding takes a role away.
func (b *Broker) DeleteBinding(ctx context.Context, req Request, id fsm.BindingID, ifVersion uint64) error {
	_, err := change[fsm.Binding](ctx, b, req, nil, &fsm.DeleteBinding{ID: id, IfVersion: ifVersion})
	return err
}

// mayMove refuses to let the actor into, or out of, a group that a policy names: whoever changes groups would have, or be
// rid of, what others laid down for their members. What the group has by bindings the state machine judges.
func (b *Broker) mayMove(req Request, group fsm.GroupName, members ...fsm.AccountName) error {
	if b.Rules == nil || req.Actor.Account == "" || !slices.Contains(members, req.Actor.Account) {
		return nil
	}
	policy, err := b.Rules.NamesGroup(group)
	if err != nil || policy == "" {
		return err
	}
	return (&fsm.Refusal{
		Code: fsm.CodeSelfGrant, Field: "members",
		Message: fmt.Sprintf("policy %q names group %q: nobody moves itself into it or out of it", policy, group),
	}).With("hint", "another account that may change groups has to do it")
}

// mayEnd is mayMove for a group that is to be deleted.
func (b *Broker) mayEnd(req Request, name fsm.GroupName) error {
	var group fsm.Group
	err := b.State.View(func(v *fsm.View) error {
		group, _ = v.Group(name)
		return nil
	})
	if err != nil {
		return err
	}
	return b.mayMove(req, name, group.Members...)
}
