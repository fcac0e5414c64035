package cluster

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const pathCheckpoints = "/internal/checkpoints"

type checkpointsAnswer struct {
	NodeID      string       `json:"n"`
	Checkpoints []Checkpoint `json:"c"`
}

func (n *Node) handleCheckpoints(mux *http.ServeMux) {
	mux.HandleFunc("GET "+pathCheckpoints, func(w http.ResponseWriter, _ *http.Request) {
		reply(w, checkpointsAnswer{NodeID: n.NodeID(), Checkpoints: n.cfg.Checkpoints()}, nil)
	})
}

// watchStates compares this node's state with the others' from time to time. Every node does: a leader
// that is wrong must not be the only one that looks.
func (n *Node) watchStates() {
	wait := n.cfg.Timing.Compare / 8
	for {
		select {
		case <-time.After(wait):
		case <-n.lifetime.Done():
			return
		}
		wait = min(2*wait, n.cfg.Timing.Compare)
		n.compareStates()
	}
}

// compareStates asks all members for their checkpoints and compares them at equal indexes.
func (n *Node) compareStates() {
	r, me := n.raft.Load(), n.NodeID()
	members := servers(r)
	answers := n.askCheckpoints(members)
	mine := n.cfg.Checkpoints() // after theirs: it reaches at least as far
	compared := make(map[string]*Divergence)
	for id, theirs := range answers {
		if d, known := compare(id, mine, theirs); known {
			compared[id] = d
		}
	}
	answers[me] = mine
	before := n.Diverged()
	begun, over := n.states.settle(me, ids(members), compared, judge(mine, answers, ids(voters(r))), time.Now())
	n.fitness.set(n.unfit())
	for _, d := range begun {
		n.log.Error("nodes made different states of the same log", "node", me, "other", d.Node, "index", d.Index,
			"hash", short(d.Mine), "other_hash", short(d.Theirs), "agreed_index", d.Agreed, "wrong", d.Wrong)
	}
	for _, d := range over {
		n.log.Info("another node's state is this one's again, or the node is no member any more", "node", me, "other", d.Node)
	}
	switch now := n.Diverged(); {
	case before == nil && now != nil:
		n.log.Error("this node does not lead and takes no snapshot while its state is wrong", "error", now)
	case before != nil && now == nil:
		n.log.Info("this node's state is that of most nodes again")
	}
}

// askCheckpoints asks other nodes for their checkpoints, all at once. Those that do not know the question give
// no answer.
func (n *Node) askCheckpoints(nodes []raft.Server) map[string][]Checkpoint {
	ctx, cancel := context.WithTimeout(n.lifetime, n.cfg.Timing.RPC)
	defer cancel()
	var mu sync.Mutex
	var asking sync.WaitGroup
	answers := make(map[string][]Checkpoint)
	for _, s := range nodes {
		if string(s.ID) == n.NodeID() {
			continue
		}
		asking.Go(func() {
			var answer checkpointsAnswer
			if err := n.call(ctx, string(s.Address), pathCheckpoints, nil, &answer); err != nil || answer.NodeID != string(s.ID) {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			answers[answer.NodeID] = answer.Checkpoints
		})
	}
	asking.Wait()
	return answers
}

// Divergences returns the nodes that made another state of the log than this one, as far as is known.
func (n *Node) Divergences() []Divergence { return n.states.divergences() }

// Diverged returns why this node's state must not be read: it differs from that of most voters. It is nil when
// it does not, or nobody can say.
func (n *Node) Diverged() error {
	_, diverged := n.states.judgement()
	return diverged
}

func ids(nodes []raft.Server) []string {
	list := make([]string, 0, len(nodes))
	for _, s := range nodes {
		list = append(list, string(s.ID))
	}
	return list
}
