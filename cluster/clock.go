package cluster

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// clockTolerance is how far this node's clock may be from most voters' before it stops leading.
	clockTolerance = 2 * time.Second
	// clockWarning is from how far on the distance of two clocks is worth a warning.
	clockWarning = 100 * time.Millisecond
	// clockMaxError is how inexact an answer may be and still count.
	clockMaxError = time.Second

	// clockSamples is how many answers of a node are kept; the most exact one tells its offset.
	clockSamples = 8
	// clockDrift bounds how fast two clocks drift apart, as one part in so many.
	clockDrift = 2000

	pathClock = "/internal/clock"
)

// ClockOffset is how far another node's clock is ahead of this one's.
type ClockOffset struct {
	Offset time.Duration
	// Error is by how much the true offset may differ: half the round trip, and drift since.
	Error time.Duration
}

// Notable reports whether the clocks certainly are so far apart that people should know.
func (o ClockOffset) Notable() bool { return o.Offset.Abs()-o.Error >= clockWarning }

// ClockView is what this node knows of the cluster's clocks.
type ClockView struct {
	// Offsets are those of the other members that answered lately, by their id.
	Offsets map[string]ClockOffset
	// Judged is true when most voters, this node perhaps not among them, say the same time.
	Judged bool
	// Ahead is how far this node's clock is ahead of theirs; zero when not judged.
	Ahead time.Duration
}

// Off returns why this node must not lead on account of its clock, or nil.
func (v ClockView) Off() error {
	if v.Judged && v.Ahead.Abs() > clockTolerance {
		return &clockError{v.Ahead}
	}
	return nil
}

// clockError says that this node's clock is wrong.
type clockError struct{ ahead time.Duration }

func (e *clockError) Error() string {
	side := "ahead of"
	if e.ahead < 0 {
		side = "behind"
	}
	return fmt.Sprintf("this node's clock is %s %s those of most nodes: set it right", e.ahead.Abs().Round(time.Millisecond), side)
}

type clockAnswer struct {
	NodeID string `json:"n"`
	// At is in nanoseconds since 1970.
	At int64 `json:"at"`
	diskReport
}

// clockSample is one answer of another node's clock.
type clockSample struct {
	says time.Time // the other clock; without a monotonic reading
	at   time.Time // when it said so, on this node's monotonic clock, which nobody sets
	err  time.Duration
}

// now returns what the other clock says at a later instant, and how inexact that is.
func (s clockSample) now(at time.Time) (time.Time, time.Duration) {
	age := at.Sub(s.at)
	return s.says.Add(age), s.err + age/clockDrift
}

// clockBook is what this node knows of other clocks.
type clockBook struct {
	mu      sync.Mutex
	samples map[string][]clockSample
	judged  bool
	ahead   time.Duration
	agree   []string // the voters that say the same, when judged
	warned  map[string]bool
}

// keep remembers a sample. Older ones that contradict it are forgotten: one of the two clocks was set
// meanwhile, or this machine slept, during which its monotonic clock stands still.
func (b *clockBook) keep(id string, s clockSample, age time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	kept := slices.DeleteFunc(b.samples[id], func(old clockSample) bool {
		says, inexact := old.now(s.at)
		return s.at.Sub(old.at) > age || says.Sub(s.says).Abs() > inexact+s.err+time.Millisecond
	})
	if len(kept) == clockSamples {
		kept = kept[1:]
	}
	if b.samples == nil {
		b.samples = make(map[string][]clockSample)
	}
	b.samples[id] = append(kept, s)
}

// offset returns how far a node's clock is ahead of wall, which is this node's at the instant at.
func (b *clockBook) offset(id string, wall, at time.Time, age time.Duration) (ClockOffset, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var best ClockOffset
	found := false
	for _, s := range b.samples[id] {
		says, inexact := s.now(at)
		if at.Sub(s.at) <= age && (!found || inexact < best.Error) {
			best, found = ClockOffset{Offset: says.Sub(wall), Error: inexact}, true
		}
	}
	return best, found
}

func (b *clockBook) setJudgement(judged bool, ahead time.Duration, agree []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.judged, b.ahead, b.agree = judged, ahead, agree
}

// judgement returns the newest judgement, and the voters that agree.
func (b *clockBook) judgement() (ClockView, []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return ClockView{Judged: b.judged, Ahead: b.ahead}, b.agree
}

// judgeClocks finds the time that most voters agree about, from the offsets of those that answered,
// this node's zero included. Without a majority that agrees nobody can be said to be wrong.
func judgeClocks(offsets map[string]time.Duration, voters int) (ahead time.Duration, agree []string, judged bool) {
	ids := slices.SortedFunc(maps.Keys(offsets), func(x, y string) int { return int(offsets[x] - offsets[y]) })
	most := voters/2 + 1
	spread := clockTolerance + 1
	for i := 0; i+most <= len(ids); i++ {
		if width := offsets[ids[i+most-1]] - offsets[ids[i]]; width < spread {
			spread, agree = width, ids[i:i+most]
		}
	}
	if agree == nil {
		return 0, nil, false
	}
	return -offsets[agree[(most-1)/2]], agree, true
}

// wall is this node's clock without its monotonic reading.
func (n *Node) wall() time.Time { return n.cfg.Now().Round(0) }

// clockAge is how old a sample may be.
func (n *Node) clockAge() time.Duration { return clockSamples*n.cfg.Timing.Clock + n.cfg.Timing.RPC }

func (n *Node) handleClock(mux *http.ServeMux) {
	mux.HandleFunc("GET "+pathClock, func(w http.ResponseWriter, _ *http.Request) {
		reply(w, clockAnswer{NodeID: n.NodeID(), At: n.wall().UnixNano(), diskReport: n.diskReport()}, nil)
	})
}

// askClocks asks other nodes for their time, all at once.
func (n *Node) askClocks(ctx context.Context, nodes []raft.Server) map[string]clockSample {
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Timing.RPC)
	defer cancel()
	var mu sync.Mutex
	var asking sync.WaitGroup
	samples := make(map[string]clockSample)
	for _, s := range nodes {
		if string(s.ID) == n.NodeID() {
			continue
		}
		asking.Go(func() {
			var answer clockAnswer
			asked := time.Now()
			err := n.call(ctx, string(s.Address), pathClock, nil, &answer)
			trip := time.Since(asked)
			if err != nil || answer.NodeID != string(s.ID) {
				return
			}
			n.disks.hear(answer.NodeID, answer.diskReport)
			sample := clockSample{says: time.Unix(0, answer.At), at: asked.Add(trip / 2), err: trip / 2}
			n.clocks.keep(answer.NodeID, sample, n.clockAge())
			if sample.err <= clockMaxError {
				mu.Lock()
				defer mu.Unlock()
				samples[answer.NodeID] = sample
			}
		})
	}
	asking.Wait()
	return samples
}

// AskClocks asks every voter for its time, now, and returns what the clocks of those that answered say
// at the moment of the return, this node's included. count has those that did not answer too.
func (n *Node) AskClocks(ctx context.Context) (count int, clocks map[string]time.Time) {
	clocks = make(map[string]time.Time)
	r := n.raft.Load()
	if r == nil || !n.handlers.enter() {
		return 0, clocks
	}
	defer n.handlers.leave()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(n.lifetime, cancel)()
	electorate := voters(r)
	samples := n.askClocks(ctx, electorate)
	at, wall := time.Now(), n.wall()
	for id, s := range samples {
		clocks[id], _ = s.now(at)
	}
	for _, v := range electorate {
		if string(v.ID) == n.NodeID() {
			clocks[n.NodeID()] = wall
		}
	}
	return len(electorate), clocks
}

// Clock returns what this node knows of the cluster's clocks. It asks nobody.
func (n *Node) Clock() ClockView {
	view, _ := n.clocks.judgement()
	view.Offsets = make(map[string]ClockOffset)
	if r := n.raft.Load(); r != nil {
		at, wall := time.Now(), n.wall()
		for _, s := range servers(r) {
			if o, ok := n.clocks.offset(string(s.ID), wall, at, n.clockAge()); ok && string(s.ID) != n.NodeID() {
				view.Offsets[string(s.ID)] = o
			}
		}
	}
	return view
}
