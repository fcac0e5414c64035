package cluster

import "time"

// Timing holds the lengths of time the cluster lives by. The zero value of a
// field takes the field of LAN.
type Timing struct {
	// Heartbeat is how long a follower waits without hearing from the leader
	// before it stands for election; the leader beats ten times as often.
	Heartbeat time.Duration
	// Election is how long a candidate waits for votes; at least Heartbeat.
	Election time.Duration
	// LeaderLease is how long a leader goes on without hearing from a quorum;
	// at most Heartbeat.
	LeaderLease time.Duration
	// Commit bounds how long followers wait to learn that an entry is
	// committed when nothing else is proposed.
	Commit time.Duration
	// RPC bounds one exchange between two nodes, dialing included.
	RPC time.Duration
	// Propose bounds the wait for the outcome of a proposal whose context ends
	// later or never.
	Propose time.Duration
	// Establish bounds how long a new leader may take to apply what its
	// predecessors committed before it hands over.
	Establish time.Duration
	// Retry is the pause before a leader whose work failed, and who found
	// nobody to hand over to, begins again; also the pause between attempts to
	// join.
	Retry time.Duration
	// Clock is the pause between two comparisons of this node's clock with the
	// others'.
	Clock time.Duration
	// Compare is the pause between two comparisons of this node's state with the
	// others'.
	Compare time.Duration
	// Disk is how long a write of the log may take before this node's disk counts as bad, so that it does not
	// lead while others can. Zero is twice Heartbeat.
	Disk time.Duration
}

// LAN returns the timing for nodes a few milliseconds apart: after the leader
// dies another one works within about a second.
func LAN() Timing {
	return Timing{
		Heartbeat:   500 * time.Millisecond,
		Election:    500 * time.Millisecond,
		LeaderLease: 400 * time.Millisecond,
		Commit:      20 * time.Millisecond,
		RPC:         2 * time.Second,
		Propose:     10 * time.Second,
		Establish:   30 * time.Second,
		Retry:       time.Second,
		Clock:       2 * time.Second,
		Compare:     10 * time.Second,
	}
}

// Default returns the timing for nodes near each other that share their machines with other work:
// most of a second of stalled CPU or disk causes no election; after the leader dies another one works within
// about two seconds.
func Default() Timing {
	t := LAN()
	t.Heartbeat, t.Election, t.LeaderLease = 800*time.Millisecond, 800*time.Millisecond, 600*time.Millisecond
	return t
}

// WAN returns the timing for nodes in different regions, or on machines that
// stall for seconds: failover takes five to ten seconds.
func WAN() Timing {
	return Timing{
		Heartbeat:   4 * time.Second,
		Election:    4 * time.Second,
		LeaderLease: 3 * time.Second,
		Commit:      50 * time.Millisecond,
		RPC:         10 * time.Second,
		Propose:     30 * time.Second,
		Establish:   2 * time.Minute,
		Retry:       2 * time.Second,
		Clock:       5 * time.Second,
		Compare:     30 * time.Second,
	}
}

// withDefaults fills the fields left zero from LAN.
func (t Timing) withDefaults() Timing {
	lan := LAN()
	for _, f := range []struct {
		have *time.Duration
		lan  time.Duration
	}{
		{&t.Heartbeat, lan.Heartbeat},
		{&t.Election, max(lan.Election, t.Heartbeat)},
		{&t.LeaderLease, t.Heartbeat * 4 / 5},
		{&t.Commit, lan.Commit},
		{&t.RPC, lan.RPC},
		{&t.Propose, lan.Propose},
		{&t.Establish, lan.Establish},
		{&t.Retry, lan.Retry},
		{&t.Clock, lan.Clock},
		{&t.Compare, lan.Compare},
	} {
		if *f.have <= 0 {
			*f.have = f.lan
		}
	}
	if t.LeaderLease <= 0 {
		t.LeaderLease = lan.LeaderLease
	}
	if t.Disk <= 0 {
		t.Disk = 2 * t.Heartbeat
	}
	return t
}
