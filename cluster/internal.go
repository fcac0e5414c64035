package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Paths that nodes ask each other for, beside what they forward.
const (
	pathNode      = "/internal/node"
	pathReadIndex = "/internal/read-index"
	pathAdmit     = "/internal/admit" // any member asks any member
	pathJoin      = "/internal/join"  // a member asks the leader
	pathAsk       = "/internal/ask/"

	maxInternalBody = 64 << 10
	maxAnswer       = 4 << 20 // a new member is told of all that there ever were
)

// nodeInfo is what a node says of itself, over the cluster port and in gossip.
// Names are short: gossip has 512 bytes.
type nodeInfo struct {
	NodeID  string `json:"n"`
	Cluster string `json:"c,omitempty"`
	Gossip  string `json:"g,omitempty"`
	API     string `json:"a,omitempty"`
	Version string `json:"v,omitempty"`
	Term    uint64 `json:"t,omitempty"`
}

type readIndexAnswer struct {
	Index uint64 `json:"index"`
}

// refusal is the body of every answer that is no success.
type refusal struct {
	Error string `json:"error"`
	// Final is true when asking again does not help.
	Final bool `json:"final,omitempty"`
}

// refusedError is a refusal received from another node.
type refusedError struct {
	refusal
	status int
}

func (e *refusedError) Error() string { return e.refusal.Error }

func (n *Node) handleInternal(mux *http.ServeMux) {
	n.handleClock(mux)
	n.handleCheckpoints(mux)
	n.handleReport(mux)
	n.handleMembership(mux)
	mux.HandleFunc("GET "+pathNode, func(w http.ResponseWriter, _ *http.Request) {
		reply(w, n.info(), nil)
	})
	mux.HandleFunc("GET "+pathReadIndex, func(w http.ResponseWriter, req *http.Request) {
		// Only ever by a leader itself: two nodes that take each other for the
		// leader must not ask each other in circles.
		if !n.LeaderReady() {
			reply(w, nil, ErrNotLeader)
			return
		}
		index, err := n.ReadIndex(req.Context())
		reply(w, readIndexAnswer{Index: index}, err)
	})
	mux.HandleFunc("POST "+pathAdmit, n.serveAdmit)
	n.handleQuestions(mux)
	mux.HandleFunc("POST "+pathJoin, func(w http.ResponseWriter, req *http.Request) {
		var ask joinRequest
		if err := json.NewDecoder(io.LimitReader(req.Body, maxInternalBody)).Decode(&ask); err != nil {
			reply(w, nil, fmt.Errorf("reading the request: %w", err))
			return
		}
		reply(w, struct{}{}, n.admit(req.Context(), ask))
	})
}

// info describes this node.
func (n *Node) info() nodeInfo {
	info := nodeInfo{API: n.cfg.APIAdvertise, Version: n.cfg.Version}
	if me := n.self.Load(); me != nil {
		info.NodeID, info.Cluster = me.nodeID, me.clusterAddr
	}
	info.Gossip = n.peers.ownGossip()
	if r := n.raft.Load(); r != nil {
		info.Term = r.CurrentTerm()
	}
	return info
}

// reply writes body, or err as a refusal.
func reply(w http.ResponseWriter, body any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		status := http.StatusServiceUnavailable
		final := errors.Is(err, ErrJoinRefused)
		if final {
			status = http.StatusConflict
		}
		w.WriteHeader(status)
		body = refusal{Error: err.Error(), Final: final}
	}
	// The other side sees a short answer if this fails; there is nobody else to tell.
	_ = json.NewEncoder(w).Encode(body)
}

// call asks the node at address over the peer protocol. in and out may be
// nil. An answer that is no success comes back as a *refusedError.
func (n *Node) call(ctx context.Context, address, path string, in, out any) error {
	return callOver(ctx, n.peerClient, address, path, in, out)
}

func callOver(ctx context.Context, client http.RoundTripper, address, path string, in, out any) error {
	method, body := http.MethodGet, io.Reader(http.NoBody)
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encoding the request: %w", err)
		}
		method, body = http.MethodPost, bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+address+path, body)
	if err != nil {
		return err
	}
	res, err := client.RoundTrip(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		refused := &refusedError{status: res.StatusCode}
		if json.Unmarshal(data, &refused.refusal) != nil || refused.refusal.Error == "" {
			refused.refusal.Error = fmt.Sprintf("%s answered %s", address, res.Status)
		}
		return refused
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	return nil
}
