package broker

import (
	"context"
	"fmt"

	"broker/fsm"
)

// PolicySpec says what policy to make.
type PolicySpec struct {
	Name        fsm.PolicyName
	Description string
	Text        string // rules in Cedar
}

// PolicyChange says what to change; nil fields stay.
type PolicyChange struct {
	Name        fsm.PolicyName
	Description *string
	Text        *string
	IfVersion   uint64
}

// CreatePolicy makes a policy. One that would keep whoever makes it from changing policies is refused with
// CodePolicyLocksOut. Errors as for changes of configuration; so for the other changes of policies.
func (b *Broker) CreatePolicy(ctx context.Context, req Request, spec PolicySpec) (fsm.Policy, error) {
	var ps problems
	ps.name("name", string(spec.Name))
	ps.text("description", spec.Description, maxDescription)
	body := &fsm.CreatePolicy{Name: spec.Name, Description: spec.Description, Text: spec.Text}
	return b.changePolicy(ctx, req, ps, spec.Name, &spec.Text, true, body)
}

// UpdatePolicy changes a policy.
func (b *Broker) UpdatePolicy(ctx context.Context, req Request, c PolicyChange) (fsm.Policy, error) {
	var ps problems
	if c.Description != nil {
		ps.text("description", *c.Description, maxDescription)
	}
	body := &fsm.UpdatePolicy{Name: c.Name, Description: c.Description, Text: c.Text, IfVersion: c.IfVersion}
	return b.changePolicy(ctx, req, ps, c.Name, c.Text, c.Text != nil, body)
}

// DeletePolicy removes a policy.
func (b *Broker) DeletePolicy(ctx context.Context, req Request, name fsm.PolicyName, ifVersion uint64) error {
	_, err := b.changePolicy(ctx, req, nil, name, nil, true, &fsm.DeletePolicy{Name: name, IfVersion: ifVersion})
	return err
}

// changePolicy proposes a change after which the policy has that text, or is not there when it is nil. What the change
// would do to its author can only be told here: what a text means the state machine does not know. Two changes at
// the same time may lock somebody out together, which is then for another admin to undo.
func (b *Broker) changePolicy(ctx context.Context, req Request, ps problems, name fsm.PolicyName, text *string, matters bool, body fsm.Body) (fsm.Policy, error) {
	if b.Rules == nil {
		ps.add("text", "this broker has no policies")
	} else if text != nil && matters {
		for _, sentence := range b.Rules.CheckPolicy(*text) {
			ps.add("text", "%s", sentence)
		}
	}
	if err := ps.err(); err != nil {
		return fsm.Policy{}, err
	}
	p, ctx, leave, err := b.enter(ctx)
	if err != nil {
		return fsm.Policy{}, err
	}
	defer leave()
	if text != nil && matters && req.Actor.Account != "" {
		gained, err := b.Rules.Gains(req.Actor, name, *text)
		if err != nil {
			return fsm.Policy{}, err
		}
		if gained != "" {
			return fsm.Policy{}, (&fsm.Refusal{
				Code: fsm.CodeSelfGrant, Field: "text",
				Message: fmt.Sprintf("nobody gives itself anything: account %q does not have %s everywhere, and a rule may permit it that", req.Actor.Account, gained),
			}).With("action", gained).With("hint", "name in the rule's head whom it is for, principal in Group::\"…\" say, or have another account make the policy")
		}
	}
	if matters {
		lost, err := b.Rules.LocksOut(req.Actor, name, text)
		if err != nil {
			return fsm.Policy{}, err
		}
		if lost != "" {
			return fsm.Policy{}, (&fsm.Refusal{
				Code: CodePolicyLocksOut, Field: "text",
				Message: fmt.Sprintf("after this change account %q could not do %s any more, and so perhaps not undo it", req.Actor.Account, lost),
			}).With("action", lost).With("hint", "leave a way for yourself, or have somebody make the change whom it does not stop")
		}
	}
	changed, _, err := propose[fsm.Policy](ctx, p, req, body)
	return changed, err
}
