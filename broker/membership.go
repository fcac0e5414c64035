package broker

import (
	"context"

	"broker/fsm"
)

// The codes of what is refused about the cluster's members.
const (
	CodeQuorumAtRisk  fsm.Code = "quorum_at_risk" // the change would leave no quorum of nodes that answer
	CodeMemberUnready fsm.Code = "member_unready" // a node does not answer, or has not caught up
	CodeMemberTooOld  fsm.Code = "member_too_old" // a node's version does not read the feature level
)

// RecordMember writes into the ledger what becomes of a node of the cluster.
func (b *Broker) RecordMember(ctx context.Context, req Request, change fsm.RecordMember) (fsm.Membership, error) {
	p, work, leave, err := b.enter(ctx)
	if err != nil {
		return fsm.Membership{}, err
	}
	defer leave()
	m, _, err := propose[fsm.Membership](work, p, req, &change)
	return m, err
}

// RaiseFeatureLevel puts a feature level in force that every member reads: the caller has made sure of that.
func (b *Broker) RaiseFeatureLevel(ctx context.Context, req Request, to uint64) (fsm.FeatureLevelChange, error) {
	p, work, leave, err := b.enter(ctx)
	if err != nil {
		return fsm.FeatureLevelChange{}, err
	}
	defer leave()
	done, _, err := propose[fsm.FeatureLevelChange](work, p, req, &fsm.RaiseFeatureLevel{To: to})
	return done, err
}
