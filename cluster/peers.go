package cluster

import (
	"context"
	"sync"
	"time"
)

// Health is a hint, from gossip or from the last attempt to reach a member. It
// decides nothing.
type Health string

// What is known of a member's health.
const (
	HealthAlive   Health = "alive"
	HealthFailed  Health = "failed"
	HealthUnknown Health = "unknown"
)

// meetInterval is how often nodes look for members they have not met.
const meetInterval = 2 * time.Second

// peerBook is what this node has heard of others. It is kept in memory only
// and believed by nobody.
type peerBook struct {
	// admission lets one node in after another.
	admission sync.Mutex
	questions questions

	mu     sync.Mutex
	gossip string // where this node gossips
	known  map[string]peer
}

type peer struct {
	info   nodeInfo
	health Health
}

func (b *peerBook) ownGossip() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.gossip
}

func (b *peerBook) setOwnGossip(address string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gossip = address
}

// learn remembers what a node said of itself.
func (b *peerBook) learn(info nodeInfo, health Health) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.setLocked(peer{info: info, health: health})
}

// note remembers how a node does.
func (b *peerBook) note(id string, health Health) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.known[id]
	p.info.NodeID, p.health = id, health
	b.setLocked(p)
}

func (b *peerBook) setLocked(p peer) {
	if b.known == nil {
		b.known = make(map[string]peer)
	}
	b.known[p.info.NodeID] = p
}

func (b *peerBook) look(id string) (nodeInfo, Health) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, ok := b.known[id]
	if !ok {
		return nodeInfo{NodeID: id}, HealthUnknown
	}
	return p.info, p.health
}

// meetPeers asks members who they are, and brings those that gossip has not
// found into it: addresses of gossip are not part of the log.
func (n *Node) meetPeers() {
	// Soon at first, when nobody is known.
	wait := n.cfg.Timing.Heartbeat / 5
	for {
		select {
		case <-time.After(wait):
		case <-n.lifetime.Done():
			return
		}
		wait = min(2*wait, meetInterval)
		for _, s := range servers(n.raft.Load()) {
			id := string(s.ID)
			if id == n.self.Load().nodeID || (n.gossip != nil && n.gossip.knows(id)) {
				continue
			}
			ctx, cancel := context.WithTimeout(n.lifetime, n.cfg.Timing.RPC)
			var info nodeInfo
			err := n.call(ctx, string(s.Address), pathNode, nil, &info)
			cancel()
			if err != nil || info.NodeID != id {
				n.peers.note(id, HealthFailed)
				continue
			}
			n.peers.learn(info, HealthAlive)
			if n.gossip != nil && info.Gossip != "" {
				n.gossip.meet(info.Gossip)
			}
		}
	}
}
