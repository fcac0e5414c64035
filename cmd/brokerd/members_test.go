package main

import (
	"errors"
	"fmt"
	"testing"

	"broker/broker"
	"broker/cluster"
	"broker/fsm"
)

// What the cluster refuses reaches clients with a code; what only came too late is tried again at the next leader.
func TestMemberErrors(t *testing.T) {
	for _, c := range []struct {
		err  error
		code fsm.Code
		is   error
	}{
		{err: cluster.ErrNoMember, code: fsm.CodeNotFound},
		{err: cluster.ErrQuorum, code: broker.CodeQuorumAtRisk},
		{err: cluster.ErrUnready, code: broker.CodeMemberUnready},
		{err: cluster.ErrTooOld, code: broker.CodeMemberTooOld},
		{err: cluster.ErrNotLeader, is: broker.ErrNotLeader},
		{err: cluster.ErrNoLeader, is: broker.ErrNotLeader},
		{err: broker.ErrNotLeader, is: broker.ErrNotLeader},
		{err: errors.New("a timeout"), is: broker.ErrOutcomeUnknown},
		{err: &fsm.Refusal{Code: fsm.CodeInvalid}, code: fsm.CodeInvalid},
	} {
		got := memberError(fmt.Errorf("removing node \"n2\": %w", c.err))
		var refusal *fsm.Refusal
		if errors.As(got, &refusal) != (c.code != "") || refusal != nil && refusal.Code != c.code || c.is != nil && !errors.Is(got, c.is) {
			t.Errorf("%v became %v", c.err, got)
		}
	}
	if err := memberError(nil); err != nil {
		t.Errorf("nothing became %v", err)
	}
}
