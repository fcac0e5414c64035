package main

import (
	"slices"
	"time"

	"broker/api"
	"broker/api/types"
	"broker/cluster"
)

// status translates the cluster's view of itself for the API.
func (n *node) status() types.Cluster {
	s := n.cluster.Status()
	c := types.Cluster{
		ID: s.ClusterID, Node: n.config.NodeID, Leader: s.LeaderID, Term: s.Term,
		AppliedIndex: s.AppliedIndex, CommitIndex: s.CommitIndex, StalenessMS: s.Staleness.Milliseconds(), LeaderChanges: s.LeaderChanges,
	}
	c.Warnings = slices.Concat(clockWarnings(s), stateWarnings(s), diskWarnings(s))
	if n.keeper != nil {
		c.Warnings = append(c.Warnings, n.keeper.Warnings()...)
	}
	if at, known := n.snapshotAt(); known {
		at = at.UTC().Truncate(time.Millisecond)
		c.SnapshotAt = &at
	}
	if s.Staleness == api.NeverHeard {
		c.StalenessMS = -1
	}
	if s.LeaderID == "" && s.Staleness != api.NeverHeard {
		since := time.Now().Add(-s.Staleness).UTC().Truncate(time.Millisecond)
		c.ExpirySuspendedSince = &since
	}
	for _, m := range s.Members {
		member := types.Member{
			ID: m.ID, APIAddress: m.APIAddr, ClusterAddress: m.ClusterAddr,
			Voter: m.Voter, Leader: m.Leader, Alive: m.Health == cluster.HealthAlive || m.Self,
			GossipAddress: m.GossipAddr, Version: m.Version, FeatureLevel: m.Level,
			State: string(m.State), Trouble: m.Trouble, Lag: m.Lag,
		}
		if m.LastContact != nil {
			ms := m.LastContact.Milliseconds()
			member.LastContactMS = &ms
		}
		if m.Self {
			member.APIAddress, member.AppliedIndex = n.url, s.AppliedIndex
		}
		if !m.CertificateEndsAt.IsZero() {
			at := m.CertificateEndsAt.UTC()
			member.CertificateEndsAt = &at
		}
		if m.Clock != nil {
			ms := m.Clock.Offset.Milliseconds()
			member.ClockOffsetMS = &ms
		}
		c.Members = append(c.Members, member)
	}
	return c
}
