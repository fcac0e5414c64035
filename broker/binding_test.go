package broker

import (
	"errors"
	"testing"

	"broker/fsm"
)

// named are Rules under which one policy names one group.
type named struct {
	Rules
	policy fsm.PolicyName
	group  fsm.GroupName
}

func (n named) NamesGroup(group fsm.GroupName) (fsm.PolicyName, error) {
	if group == n.group {
		return n.policy, nil
	}
	return "", nil
}

func TestNobodyMovesItselfWherePoliciesLook(t *testing.T) {
	b := &Broker{Config: Config{Rules: named{policy: "night", group: "on-call"}}}
	for _, one := range []struct {
		actor, moved fsm.AccountName
		group        fsm.GroupName
		want         fsm.Code
	}{
		{"alice", "alice", "on-call", fsm.CodeSelfGrant},
		{"alice", "bob", "on-call", ""},
		{"alice", "alice", "others", ""},
		{"", "alice", "on-call", ""},
	} {
		err := b.mayMove(Request{Actor: fsm.Actor{Account: one.actor}}, one.group, "carol", one.moved)
		var refusal *fsm.Refusal
		if errors.As(err, &refusal); (refusal == nil) != (one.want == "") || refusal != nil && refusal.Code != one.want {
			t.Errorf("%q moves %q in or out of %s: %v, want %q", one.actor, one.moved, one.group, err, one.want)
		}
	}
	if err := (&Broker{}).mayMove(Request{Actor: fsm.Actor{Account: "alice"}}, "on-call", "alice"); err != nil {
		t.Errorf("without rules: %v", err)
	}
}
