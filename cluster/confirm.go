package cluster

import (
	"context"
	"fmt"
	"sync"

	"github.com/hashicorp/raft"
)

// maxQuestions bounds the unanswered questions to one node: one that does not
// answer must not cost a goroutine for every read.
const maxQuestions = 8

// confirmTerm asks the voters for their current term and returns nil once a
// majority, this node included, has answered from no later term than term.
// Whoever had voted for a later leader would say so, hence at the moment of the
// call no later leader had been elected.
//
// Raft's own VerifyLeader does not give this: it counts any answer that arrives
// after the call, also one given before it and read late, as a leader does that
// was paused.
func (n *Node) confirmTerm(ctx context.Context, r *raft.Raft, term uint64) error {
	electorate := voters(r)
	missing := len(electorate)/2 + 1
	answers := make(chan bool, len(electorate))
	asked := 0
	for _, v := range electorate {
		if string(v.ID) == n.self.Load().nodeID {
			if leads(r, term) {
				missing--
			}
			continue
		}
		if !n.peers.questions.begin(v.ID) {
			continue
		}
		asked++
		n.workers.Go(func() {
			defer n.peers.questions.end(v.ID)
			// Not cut short when a majority is reached: a cancelled request
			// costs more than one that runs to its end.
			ctx, cancel := context.WithTimeout(n.lifetime, n.cfg.Timing.RPC)
			defer cancel()
			var peer nodeInfo
			err := n.call(ctx, string(v.Address), pathNode, nil, &peer)
			answers <- err == nil && peer.NodeID == string(v.ID) && peer.Term <= term
		})
	}
	for ; missing > 0 && asked > 0; asked-- {
		select {
		case yes := <-answers:
			if yes {
				missing--
			}
		case <-ctx.Done():
			return fmt.Errorf("%w: a quorum did not confirm it in time", ErrNoLeader)
		}
	}
	if missing > 0 {
		return fmt.Errorf("%w: a quorum did not confirm it", ErrNoLeader)
	}
	return nil
}

// questions counts what has been asked of each node and is not answered.
type questions struct {
	mu   sync.Mutex
	open map[raft.ServerID]int
}

func (q *questions) begin(id raft.ServerID) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.open[id] >= maxQuestions {
		return false
	}
	if q.open == nil {
		q.open = make(map[raft.ServerID]int)
	}
	q.open[id]++
	return true
}

func (q *questions) end(id raft.ServerID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.open[id]--; q.open[id] <= 0 {
		delete(q.open, id)
	}
}
