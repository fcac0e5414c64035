package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"broker/access"
	"broker/api/types"
	"broker/fsm"
)

// ClusterGet asks how this node sees the cluster.
type ClusterGet struct{ Read }

func (ClusterGet) resource() Resource { return Resource{Kind: access.KindCluster} }

func (r *routes) cluster() {
	s := r.server
	register(r, route{id: "cluster-get", action: "cluster:get", method: http.MethodGet, path: "/cluster", summary: "Get how the answering node sees the cluster; stale unless said"}, s.getCluster)
	register(r, route{id: "cluster-members", action: "cluster:get", method: http.MethodGet, path: "/cluster/members", summary: "List the cluster's nodes; stale unless said"}, s.listMembers)
	register(r, route{id: "cluster-activity", action: "cluster:get", method: http.MethodGet, path: "/cluster/activity", summary: "Count the leases of the last hour and the next, minute by minute; stale unless said"}, s.getActivity)
}

func (s *Server) getCluster(_ context.Context, c *call, _ *ClusterGet) (*body[types.Cluster], error) {
	out := s.config.Status()
	if out.Members == nil {
		out.Members = []types.Member{}
	}
	err := s.view(c, func(view View) error {
		census := view.Census(fsm.At(s.config.Now()))
		out.Leases = map[string]uint64{}
		for state, count := range census.Leases {
			out.Leases[string(state)] = count
		}
		out.Trouble = types.Trouble{Overdue: census.Overdue, Stuck: census.Stuck}
		for _, one := range census.Connections {
			out.Trouble.Missing += one.Missing
			out.Trouble.Orphans += one.Orphans
		}
		out.Version = s.config.Version
		s.tellClock(&out, census.Clock)
		tellRestored(&out, view.Meta().Restored)
		tellHostTokens(&out, view.HostTokens(fsm.At(s.config.Now())))
		out.Seal.Kind = "key-file"
		if r := view.Meta().Recovery; r != nil {
			out.Seal.RecoveryShares, out.Seal.RecoveryThreshold = r.Shares, r.Threshold
		}
		s.tellExchange(&out, view.SealingKeys())
		out.FeatureLevel = view.Meta().FeatureLevel()
		if out.ID == "" {
			out.ID = view.Meta().ClusterID
		}
		return nil
	})
	return &body[types.Cluster]{out}, err
}

func (s *Server) listMembers(_ context.Context, _ *call, _ *ClusterGet) (*body[types.Page[types.Member]], error) {
	members := s.config.Status().Members
	if members == nil {
		members = []types.Member{}
	}
	return &body[types.Page[types.Member]]{types.Page[types.Member]{Items: members}}, nil
}

// serveHealth answers whether the node lives: it has started, and the process serves.
func (s *Server) serveHealth(w http.ResponseWriter, _ *http.Request) {
	if s.config.Up != nil && !s.config.Up() {
		s.writeHealth(w, http.StatusServiceUnavailable, "starting")
		return
	}
	s.writeHealth(w, http.StatusOK, "ok")
}

// serveReady answers whether requests had better come here: this node has caught up with a leader and is not
// about to stop.
func (s *Server) serveReady(w http.ResponseWriter, _ *http.Request) {
	if err := s.config.Cluster.Ready(); err != nil {
		s.writeHealth(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	if err := s.config.State.View(func(View) error { return nil }); err != nil {
		s.writeHealth(w, http.StatusServiceUnavailable, "the state cannot be read")
		return
	}
	s.writeHealth(w, http.StatusOK, "ok")
}

func (s *Server) writeHealth(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	health := types.Health{Status: text, Node: s.config.Cluster.NodeID()}
	_ = json.NewEncoder(w).Encode(health) // a client that went away is nobody's error
}

// tellHostTokens warns of tokens for beginning with and for emergencies while they are good: whoever has one may do
// everything, and nobody can tell who it was.
func tellHostTokens(out *types.Cluster, list []fsm.Token) {
	if len(list) == 0 {
		return
	}
	text := "a token that came with the cluster or was made on a node's host is still good"
	if len(list) > 1 {
		text = strconv.Itoa(len(list)) + " tokens that came with the cluster or were made on a node's host are still good"
	}
	out.Warnings = append(out.Warnings, text+": give people accounts of their own, and delete it (brokerctl token list --account "+string(list[0].Account)+")")
}
