package api

import (
	"context"
	"net/http"
	"time"

	"broker/access"
	"broker/api/types"
	"broker/broker"
)

// Members changes who belongs to the cluster. It is called at the leader only. Errors are those of Broker; refusals
// have the codes not_found, quorum_at_risk, member_unready and member_too_old. In a dry run only what would
// refuse is looked at.
type Members interface {
	// Remove takes a node out for ever, when the others that answer are a quorum, or by force.
	Remove(ctx context.Context, request broker.Request, id, reason string, force bool) error
	// Promote gives a node a vote that answers and has caught up.
	Promote(ctx context.Context, request broker.Request, id, reason string) error
	// Demote takes a node's vote away until it is promoted.
	Demote(ctx context.Context, request broker.Request, id, reason string) error
	// Leave has a node finish what it does, be removed and stop; it returns when the node has agreed.
	Leave(ctx context.Context, request broker.Request, id string) error
	// Transfer hands leadership to a node; empty: to one that is fit.
	Transfer(ctx context.Context, request broker.Request, to string) error
	// FinishUpgrade puts the highest feature level in force that every node reads.
	FinishUpgrade(ctx context.Context, request broker.Request) (level uint64, err error)
}

// MemberPath is part of every input about one node.
type MemberPath struct {
	ID string `path:"id"`
}

func (p MemberPath) resource() Resource { return Resource{Kind: access.KindCluster, Name: p.ID} }

// MemberGet asks for one node.
type MemberGet struct {
	MemberPath
	Read
}

// MemberRemove asks for a node's removal.
type MemberRemove struct {
	MemberPath
	Write
	Reason string `query:"reason" maxLength:"1024" doc:"Why; part of the history"`
	Force  bool   `query:"force" doc:"Remove it though the nodes that stay and answer are no quorum"`
}

// MemberChange asks for a change of a node's vote.
type MemberChange struct {
	MemberPath
	Keyed
	Body types.MemberChange
}

// MemberLeave asks a node to leave.
type MemberLeave struct {
	MemberPath
	Keyed
}

// LeaderTransfer asks for another leader.
type LeaderTransfer struct {
	Keyed
	Body types.TransferSpec
}

func (LeaderTransfer) resource() Resource { return Resource{Kind: access.KindCluster} }

// UpgradeFinish asks for the highest feature level.
type UpgradeFinish struct{ Keyed }

func (UpgradeFinish) resource() Resource { return Resource{Kind: access.KindCluster} }

func (r *routes) members() {
	s := r.server
	register(r, route{id: "member-get", action: "cluster:get", method: http.MethodGet, path: "/cluster/members/{id}", summary: "Get a node as the answering one sees it; stale unless said"}, s.getMember)
	register(r, route{id: "member-remove", action: "cluster:remove-member", method: http.MethodDelete, path: "/cluster/members/{id}", summary: "Remove a node for ever; it stops", status: http.StatusNoContent}, s.removeMember)
	register(r, route{id: "member-promote", action: "cluster:promote-member", method: http.MethodPost, path: "/cluster/members/{id}/promote", summary: "Give a node a vote"}, s.promoteMember)
	register(r, route{id: "member-demote", action: "cluster:demote-member", method: http.MethodPost, path: "/cluster/members/{id}/demote", summary: "Take a node's vote away until it is promoted"}, s.demoteMember)
	register(r, route{id: "member-leave", action: "cluster:remove-member", method: http.MethodPost, path: "/cluster/members/{id}/leave", summary: "Have a node finish what it does, leave the cluster and stop"}, s.leaveMember)
	register(r, route{id: "cluster-transfer", action: "cluster:transfer", method: http.MethodPost, path: "/cluster/transfer", summary: "Hand leadership to another node"}, s.transfer)
	register(r, route{id: "cluster-upgrade", action: "cluster:upgrade", method: http.MethodPost, path: "/cluster/upgrade", summary: "Put the highest feature level in force that every node reads"}, s.finishUpgrade)
}

func (s *Server) getMember(_ context.Context, _ *call, in *MemberGet) (*body[types.Member], error) {
	return s.memberAnswer(in.ID)
}

func (s *Server) memberAnswer(id string) (*body[types.Member], error) {
	for _, m := range s.config.Status().Members {
		if m.ID == id {
			return &body[types.Member]{m}, nil
		}
	}
	return nil, notFound("node", id)
}

func (s *Server) removeMember(ctx context.Context, c *call, in *MemberRemove) (*nothing, error) {
	return &nothing{}, s.config.Members.Remove(ctx, c.request(in.DryRun), in.ID, in.Reason, in.Force)
}

func (s *Server) promoteMember(ctx context.Context, c *call, in *MemberChange) (*body[types.Member], error) {
	if err := s.config.Members.Promote(ctx, c.request(in.DryRun), in.ID, in.Body.Reason); err != nil {
		return nil, err
	}
	return s.memberAnswer(in.ID)
}

func (s *Server) demoteMember(ctx context.Context, c *call, in *MemberChange) (*body[types.Member], error) {
	if err := s.config.Members.Demote(ctx, c.request(in.DryRun), in.ID, in.Body.Reason); err != nil {
		return nil, err
	}
	return s.memberAnswer(in.ID)
}

func (s *Server) leaveMember(ctx context.Context, c *call, in *MemberLeave) (*body[types.Member], error) {
	if err := s.config.Members.Leave(ctx, c.request(in.DryRun), in.ID); err != nil {
		return nil, err
	}
	return s.memberAnswer(in.ID)
}

func (s *Server) transfer(ctx context.Context, c *call, in *LeaderTransfer) (*body[types.Transfer], error) {
	from := s.config.Cluster.NodeID()
	if err := s.config.Members.Transfer(ctx, c.request(in.DryRun), in.Body.To); err != nil {
		return nil, err
	}
	out := types.Transfer{From: from, To: in.Body.To}
	if in.DryRun || out.To != "" {
		return &body[types.Transfer]{out}, nil
	}
	// Who it is this node hears in a moment.
	for deadline := time.Now().Add(s.config.LeaderTimeout); ; {
		if id, _, ok := s.config.Cluster.Leader(); ok && id != from {
			out.To = id
		}
		if out.To != "" || time.Now().After(deadline) || !pause(ctx, s.config.RetryPause) {
			return &body[types.Transfer]{out}, nil
		}
	}
}

func (s *Server) finishUpgrade(ctx context.Context, c *call, in *UpgradeFinish) (*body[types.Upgrade], error) {
	var before uint64
	if err := s.view(c, func(view View) error { before = view.Meta().FeatureLevel(); return nil }); err != nil {
		return nil, err
	}
	level, err := s.config.Members.FinishUpgrade(ctx, c.request(in.DryRun))
	return &body[types.Upgrade]{types.Upgrade{From: before, To: level}}, err
}
