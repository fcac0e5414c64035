package cluster

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/hashicorp/raft"

	"broker/cluster/trust"
)

// Paths of the join protocol, which is all that a stranger may speak.
const (
	pathHello  = "/hello"
	pathEnroll = "/enroll"
)

const progressStep = 5 * time.Second

// joinRequest is a node asking for membership. It must already listen at its
// address: the leader looks for it there before it counts on its vote.
type joinRequest struct {
	NodeID  string `json:"node_id"`
	Address string `json:"address"`
	// Instance names the node's data directory, Fresh says that there is no log in it.
	Instance string `json:"instance,omitempty"`
	Fresh    bool   `json:"fresh,omitempty"`
	Level    uint64 `json:"feature_level,omitempty"` // the highest one it reads
}

// helloAnswer tells a node which cluster it talks to.
type helloAnswer struct {
	ClusterID string `json:"cluster_id"`
}

// newClusterID makes up 128 bits, since cluster ids end up as marks in outside
// systems that other clusters use too.
func newClusterID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// askClusterID asks the configured members until one says which cluster it is.
func (n *Node) askClusterID(ctx context.Context) (string, error) {
	var hello helloAnswer
	client := &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			return n.cfg.Network.Dial(ctx, address, ProtocolJoin, "")
		},
		DisableKeepAlives: true,
	}
	err := n.askMembers(ctx, n.cfg.Join, func(ctx context.Context, address string) error {
		return callOver(ctx, client, address, pathHello, nil, &hello)
	})
	if err == nil && (hello.ClusterID == "" || len(hello.ClusterID) > maxClusterIDLen) {
		err = fmt.Errorf("%w: the member asked does not know its cluster", ErrJoinRefused)
	}
	return hello.ClusterID, err
}

// checkJoin makes sure that a member is not told to join another cluster than its directory belongs to: it
// would wait for a leader for ever. Members that do not answer soon prove nothing.
func (n *Node) checkJoin(ctx context.Context, stored identity) error {
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Timing.Heartbeat)
	defer cancel()
	answers := make(chan error, len(n.cfg.Join))
	for _, address := range n.cfg.Join {
		n.workers.Go(func() {
			conn, err := n.cfg.Network.Dial(ctx, address, ProtocolJoin, stored.ClusterID)
			if err == nil {
				_ = conn.Close()
			}
			answers <- err
		})
	}
	var foreign error
	for range n.cfg.Join {
		switch err := <-answers; {
		case err == nil:
			return nil
		case errors.Is(err, ErrForeignCluster):
			foreign = err
		}
	}
	if foreign == nil {
		return nil
	}
	return fmt.Errorf("%w: %s belongs to cluster %s, but the nodes it is told to join do not (%w); give the node an empty directory to make it a member there, or its own cluster's addresses",
		ErrIdentity, n.cfg.DataDir, stored.ClusterID, foreign)
}

// join asks the configured members until this node is a member too.
func (n *Node) join(ctx context.Context, me self) error {
	ask := n.request(me)
	err := n.askMembers(ctx, n.cfg.Join, func(ctx context.Context, address string) error {
		return n.call(ctx, address, pathAdmit, ask, nil)
	})
	if err != nil {
		return err
	}
	// The leader has added this node; its log says so in a moment.
	n.voice.raise()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !n.inConfiguration(me.nodeID) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the leader's first entries: %w", context.Cause(ctx))
		}
	}
	n.log.Info("joined the cluster", "cluster", me.clusterID)
	return nil
}

func (n *Node) inConfiguration(id string) bool {
	for _, s := range servers(n.raft.Load()) {
		if string(s.ID) == id {
			return true
		}
	}
	return false
}

// askMembers calls ask with one address after another, and again, until it
// succeeds, is refused for good, or ctx ends.
func (n *Node) askMembers(ctx context.Context, addresses []string, ask func(ctx context.Context, address string) error) error {
	return askAgain(ctx, addresses, n.cfg.Timing, n.log, ask)
}

func askAgain(ctx context.Context, addresses []string, timing Timing, log *slog.Logger, ask func(ctx context.Context, address string) error) error {
	var told time.Time
	failures := make([]error, len(addresses)) // the newest of each address
	for {
		for i, address := range addresses {
			// Admitting waits for a commit and for a look at this node.
			once, cancel := context.WithTimeout(ctx, 4*timing.RPC)
			err := ask(once, address)
			cancel()
			if err == nil {
				return nil
			}
			err = fmt.Errorf("asking %s: %w", address, err)
			var refused *refusedError
			if errors.As(err, &refused) && refused.Final {
				return fmt.Errorf("%w: %w", ErrJoinRefused, err)
			}
			if errors.Is(err, ErrForeignCluster) || errors.Is(err, ErrRemoved) || errors.Is(err, trust.ErrStranger) {
				return err
			}
			// An attempt that the end of the wait cut off tells less than the one before it.
			if ctx.Err() == nil || failures[i] == nil {
				failures[i] = err
			}
		}
		if time.Since(told) >= progressStep {
			told = time.Now()
			log.Warn("not a member yet, asking again", "error", errors.Join(failures...))
		}
		select {
		case <-time.After(timing.Retry):
		case <-ctx.Done():
			return fmt.Errorf("joining the cluster: %w: %w", context.Cause(ctx), errors.Join(failures...))
		}
	}
}

// move tells the cluster that this member is found at another address than the
// log says, until the log says so too.
func (n *Node) move(me self) {
	ask := n.request(me)
	addresses := []string{me.clusterAddr} // it may come to lead itself
	for _, s := range servers(n.raft.Load()) {
		switch {
		case string(s.ID) != me.nodeID:
			addresses = append(addresses, string(s.Address))
		case string(s.Address) == me.clusterAddr:
			return
		}
	}
	n.log.Info("telling the cluster of this node's new address", "address", me.clusterAddr)
	err := n.askMembers(n.lifetime, addresses, func(ctx context.Context, address string) error {
		return n.call(ctx, address, pathAdmit, ask, nil)
	})
	if err != nil && n.lifetime.Err() == nil {
		n.log.Error("the cluster does not take this node's new address", "address", me.clusterAddr, "error", err)
	}
}

// joinServer answers strangers.
func (n *Node) joinServer() *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+pathHello, func(w http.ResponseWriter, _ *http.Request) {
		reply(w, helloAnswer{ClusterID: n.self.Load().clusterID}, nil)
	})
	mux.HandleFunc("POST "+pathEnroll, func(w http.ResponseWriter, req *http.Request) {
		question, err := readBody(req)
		if err != nil {
			reply(w, nil, fmt.Errorf("%w: %w", ErrJoinRefused, err))
			return
		}
		answer, err := n.AskLeader(req.Context(), AboutEnrolling, question)
		reply(w, answer, err)
	})
	s := n.newServer(mux)
	// Strangers speak here: whoever is slow, long-winded or comes in numbers is let go.
	s.ReadTimeout, s.WriteTimeout, s.MaxHeaderBytes = n.cfg.Timing.RPC, 5*n.cfg.Timing.RPC, 16<<10
	s.SetKeepAlivesEnabled(false)
	return s
}

// serveAdmit takes a node's wish to be a voter, or to be found elsewhere. It may ask for itself only.
func (n *Node) serveAdmit(w http.ResponseWriter, req *http.Request) {
	var ask joinRequest
	body, err := readBody(req)
	if err == nil {
		err = json.Unmarshal(body, &ask)
	}
	if err != nil {
		reply(w, nil, fmt.Errorf("%w: reading the request: %w", ErrJoinRefused, err))
		return
	}
	if peer, known := peerFrom(req.Context()); known && peer != ask.NodeID {
		reply(w, nil, fmt.Errorf("%w: node %q asks in the name of %q", ErrJoinRefused, peer, ask.NodeID))
		return
	}
	reply(w, struct{}{}, n.passToLeader(req.Context(), ask))
}

// passToLeader lets the leader decide, wherever it is.
func (n *Node) passToLeader(ctx context.Context, ask joinRequest) error {
	address, id, ok := n.leaderAddr()
	if !ok {
		return ErrNoLeader
	}
	if id == n.self.Load().nodeID {
		return n.admit(ctx, ask)
	}
	err := n.call(ctx, address, pathJoin, ask, nil)
	var refused *refusedError
	if errors.As(err, &refused) && refused.Final {
		return fmt.Errorf("%w: %w", ErrJoinRefused, err)
	}
	return err
}

// admit makes a node a member. It is the leader's part of joining, and
// safe to repeat.
func (n *Node) admit(ctx context.Context, ask joinRequest) error {
	n.peers.admission.Lock()
	defer n.peers.admission.Unlock()
	if !n.LeaderReady() {
		return ErrNoLeader
	}
	if !nodeIDPattern.MatchString(ask.NodeID) {
		return fmt.Errorf("%w: %q is no node id", ErrJoinRefused, ask.NodeID)
	}
	if _, _, err := net.SplitHostPort(ask.Address); err != nil {
		return fmt.Errorf("%w: %q is no address: %w", ErrJoinRefused, ask.Address, err)
	}
	return n.letIn(ctx, ask)
}

// answers reports whether that very node is reachable where it is said to be.
func (n *Node) answers(ctx context.Context, s raft.Server) bool {
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Timing.RPC)
	defer cancel()
	var peer nodeInfo
	err := n.call(ctx, string(s.Address), pathNode, nil, &peer)
	return err == nil && peer.NodeID == string(s.ID)
}
