package cluster

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// pathReport is where a node tells how it does.
const pathReport = "/internal/report"

// report is what a node says of how it does.
type report struct {
	NodeID   string `json:"n"`
	Instance string `json:"i,omitempty"`
	// Fresh: its data directory is empty and it has not been let in.
	Fresh    bool   `json:"f,omitempty"`
	Stopping bool   `json:"s,omitempty"`
	Version  string `json:"v,omitempty"`
	// Level is the highest feature level it reads, Hold that its operator holds upgrades back.
	Level     uint64 `json:"l,omitempty"`
	Hold      bool   `json:"h,omitempty"`
	LastIndex uint64 `json:"x,omitempty"` // of its log
	Applied   uint64 `json:"p,omitempty"`
	// Diverged: its state is not that of most nodes.
	Diverged bool `json:"d,omitempty"`
	// StaleMS is for how long it has not heard of a leader; negative: it never has.
	StaleMS int64 `json:"t,omitempty"`
	// CertificateEndsAt is when its certificate ends; zero when it does not say.
	CertificateEndsAt time.Time `json:"e,omitzero"`
}

func (n *Node) handleReport(mux *http.ServeMux) {
	mux.HandleFunc("GET "+pathReport, func(w http.ResponseWriter, _ *http.Request) { reply(w, n.ownReport(), nil) })
}

func (n *Node) ownReport() report {
	own := report{
		NodeID: n.NodeID(), Fresh: n.isFresh(), Stopping: n.stopping.Load(), Version: n.cfg.Version,
		Level: n.cfg.Levels.Reads(), Hold: n.cfg.HoldUpgrade, Applied: n.AppliedIndex(), StaleMS: -1,
		Diverged: n.Diverged() != nil,
	}
	if n.cfg.CertificateEndsAt != nil {
		own.CertificateEndsAt = n.cfg.CertificateEndsAt()
	}
	if me := n.self.Load(); me != nil {
		own.Instance = me.instance
	}
	if r := n.raft.Load(); r != nil {
		own.LastIndex = r.LastIndex()
	}
	if stale := n.Staleness(); stale < time.Hour*24*365 {
		own.StaleMS = stale.Milliseconds()
	}
	return own
}

// report asks a member how it does. Another node at its address is an error.
func (n *Node) report(ctx context.Context, s raft.Server) (report, error) {
	if string(s.ID) == n.NodeID() && n.self.Load().clusterAddr == string(s.Address) {
		return n.ownReport(), nil
	}
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Timing.RPC)
	defer cancel()
	var got report
	if err := n.call(ctx, string(s.Address), pathReport, nil, &got); err != nil {
		return got, err
	}
	if got.NodeID != string(s.ID) {
		return got, fmt.Errorf("at %s is node %q", s.Address, got.NodeID)
	}
	return got, nil
}

// contact is what this node has seen of another one since it started.
type contact struct {
	report      report
	answeredAt  time.Time // zero: never
	silentSince time.Time // zero: it answered when it was last asked
	fitSince    time.Time // zero: it is not fit for a vote
	trouble     string    // why not, as "it …"
	lag         uint64    // log entries that this node had and it had not
	err         error     // of the last time it was asked
}

// contacts are those with all other members.
type contacts struct {
	mu sync.Mutex
	of map[string]contact
}

func (c *contacts) look(id string) (contact, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	one, ok := c.of[id]
	return one, ok
}

func (c *contacts) keep(id string, one contact) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = make(map[string]contact)
	}
	c.of[id] = one
}

func (c *contacts) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.of, id)
}

// only forgets whoever is no member any more.
func (c *contacts) only(members []raft.Server) {
	here := make(map[string]bool)
	for _, s := range members {
		here[string(s.ID)] = true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.of, func(id string, _ contact) bool { return !here[id] })
}

// lookAround asks every other member how it does.
func (n *Node) lookAround() {
	members := servers(n.raft.Load())
	n.contacts.only(members)
	var asking sync.WaitGroup
	for _, s := range members {
		if string(s.ID) != n.NodeID() {
			asking.Go(func() { n.lookAt(n.lifetime, s) })
		}
	}
	asking.Wait()
}

// lookAt asks one member how it does, remembers that, and returns why it is not fit for a vote; empty: it is.
func (n *Node) lookAt(ctx context.Context, s raft.Server) (trouble string) {
	id := string(s.ID)
	last := n.raft.Load().LastIndex() // before the question: entries that come meanwhile are no lag
	got, err := n.report(ctx, s)
	now := time.Now()
	one, _ := n.contacts.look(id)
	one.err = err
	if err != nil {
		if one.silentSince.IsZero() {
			one.silentSince = now
		}
		one.trouble = "does not answer"
	} else {
		one.report, one.answeredAt, one.silentSince = got, now, time.Time{}
		one.lag = last - min(last, got.LastIndex)
		one.trouble = n.troubleOf(s, got, one.lag)
	}
	switch {
	case one.trouble != "":
		one.fitSince = time.Time{}
	case one.fitSince.IsZero():
		one.fitSince = now
	}
	n.contacts.keep(id, one)
	return one.trouble
}

// maxTrail is how many entries a node may be behind and still be worth a vote.
const maxTrail = 512

// troubleOf says what keeps a member that answered from being worth a vote.
func (n *Node) troubleOf(s raft.Server, got report, lag uint64) string {
	known, _ := n.cfg.Roster.Member(string(s.ID))
	offset, measured := n.clocks.offset(string(s.ID), n.wall(), time.Now(), n.clockAge())
	stale := time.Duration(got.StaleMS) * time.Millisecond
	switch {
	case got.Fresh:
		return "has an empty data directory and was not let in yet"
	case known.Instance != "" && known.Instance != got.Instance:
		return "has another data directory than the one that was let in"
	case got.Stopping:
		return "is stopping"
	case got.Diverged:
		return "has another state than most nodes"
	case reads(got.Level) < n.cfg.Levels.InForce():
		return fmt.Sprintf("reads feature level %d and the cluster is at level %d", reads(got.Level), n.cfg.Levels.InForce())
	case lag > maxTrail:
		return fmt.Sprintf("is %d log entries behind", lag)
	case got.StaleMS < 0 || stale > 2*n.cfg.Timing.Heartbeat:
		return "hears of no leader"
	case !measured:
		return "has a clock that was not compared yet"
	case offset.Offset.Abs()-offset.Error > clockTolerance:
		return fmt.Sprintf("has a clock that is off by %s", offset.Offset.Abs().Round(time.Millisecond))
	}
	return ""
}
