package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// spaceInterval is how often the room on the disk is looked at.
	spaceInterval = time.Minute
	// probeFile is written now and then while the disk is bad.
	probeFile = "disk.probe"
)

// diskReport is what a node says of its disk to others, with its answer to the question for its time.
type diskReport struct {
	// Trouble and LowSpace are sentences, empty when there is nothing to say.
	Trouble  string `json:"d,omitempty"`
	LowSpace string `json:"s,omitempty"`
	// LastIndex is the last entry it has.
	LastIndex uint64 `json:"l,omitempty"`
}

// diskReports are those of other nodes.
type diskReports struct {
	mu    sync.Mutex
	heard map[string]heardReport
}

type heardReport struct {
	diskReport
	at time.Time
}

func (b *diskReports) hear(id string, report diskReport) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.heard == nil {
		b.heard = make(map[string]heardReport)
	}
	b.heard[id] = heardReport{report, time.Now()}
}

// latest returns what a node said, if that is not longer ago than age.
func (b *diskReports) latest(id string, age time.Duration) (diskReport, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r, ok := b.heard[id]
	return r.diskReport, ok && time.Since(r.at) <= age
}

// Disk returns what this node knows of its disk.
func (n *Node) Disk() DiskView { return n.disk.look() }

func (n *Node) diskReport() diskReport {
	view := n.Disk()
	report := diskReport{LowSpace: view.LowSpace()}
	if view.Trouble != nil {
		report.Trouble = view.Trouble.Error()
	}
	if r := n.raft.Load(); r != nil {
		report.LastIndex = r.LastIndex()
	}
	return report
}

// watchDisk looks after this node's disk until the node ends. It writes nothing while the disk does well.
func (n *Node) watchDisk() {
	tick := time.NewTicker(n.cfg.Timing.Heartbeat / 4)
	defer tick.Stop()
	var bad, low bool
	var probe, ask, room time.Time
	for {
		now := time.Now()
		if now.Sub(room) >= spaceInterval {
			room = now
			low = n.lookForRoom(low)
		}
		trouble := n.Disk().Trouble
		switch {
		case trouble != nil && !bad:
			n.log.Error("this node's disk is bad; it does not lead while others can", "error", trouble)
		case trouble == nil && bad:
			n.log.Info("this node's disk does well again")
		}
		bad = trouble != nil
		if bad && now.Sub(ask) >= n.cfg.Timing.Clock {
			// What the others said last may be as old as this trouble, and they may have it too.
			ask = now
			n.workers.Go(func() {
				n.askClocks(n.lifetime, servers(n.raft.Load()))
				n.fitness.set(n.unfit())
			})
		}
		if bad && now.Sub(probe) >= n.cfg.Timing.Disk && n.probing.TryLock() {
			probe = now
			n.probes.Go(func() {
				defer n.probing.Unlock()
				n.probeDisk()
			})
		}
		n.fitness.set(n.unfit())
		select {
		case <-tick.C:
		case <-n.lifetime.Done():
			return
		}
	}
}

// probeDisk writes and flushes a file: nothing else may be written to a bad disk for long, and without
// that nobody would know when it is well again.
func (n *Node) probeDisk() {
	end := n.disk.begin(false)
	path := filepath.Join(n.cfg.DataDir, probeFile)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.Write(make([]byte, journalSector))
		if err == nil {
			err = n.cfg.Flush(f)
		}
		_ = f.Close()
		_ = os.Remove(path) // the next one writes to it as well
	}
	end(err)
}

// lookForRoom looks how full the disk is, and tells when that has become too much.
func (n *Node) lookForRoom(was bool) (low bool) {
	free, size, err := space(n.cfg.DataDir)
	if err != nil {
		n.log.Warn("looking for room on the disk", "error", err)
		return was
	}
	n.disk.setSpace(free, size)
	says := n.Disk().LowSpace()
	if says != "" && !was {
		n.log.Warn(says, "path", n.cfg.DataDir)
	}
	return says != ""
}

// diskOff says why this node does not lead on account of its disk: nil when that is well, or when nobody is
// known who would do better.
func (n *Node) diskOff() error {
	trouble := n.Disk().Trouble
	r := n.raft.Load()
	if trouble == nil || r == nil || len(n.well(r)) == 0 {
		return nil
	}
	return trouble
}

// well returns the other voters that said lately that their disk is well, and whose clock is not known to
// be wrong; the most advanced first.
func (n *Node) well(r *raft.Raft) (list []raft.Server) {
	view, agree := n.clocks.judgement()
	var most uint64
	for _, v := range voters(r) {
		id := string(v.ID)
		report, ok := n.disks.latest(id, 2*n.cfg.Timing.Clock+n.cfg.Timing.RPC)
		if id == n.NodeID() || !ok || report.Trouble != "" || view.Judged && !slices.Contains(agree, id) {
			continue
		}
		if list = append(list, v); report.LastIndex > most {
			most = report.LastIndex
			list[0], list[len(list)-1] = list[len(list)-1], list[0]
		}
	}
	return list
}

// push has a voter stand for election at once. It is for a leader whose disk hangs: Raft's own way waits
// until that voter has everything this node has, which it cannot count before it is on this node's disk.
// What the voter does not have nobody was told of.
func (n *Node) push(to raft.Server) error {
	r := n.raft.Load()
	ask := raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{
		ProtocolVersion: raft.ProtocolVersionMax,
		ID:              []byte(n.NodeID()),
		Addr:            n.raftTransport.EncodePeer(raft.ServerID(n.NodeID()), n.raftTransport.LocalAddr()),
	}}
	n.log.Warn("having another node stand for election, since this one's disk hangs", "node", to.ID, "term", r.CurrentTerm())
	if err := n.raftTransport.TimeoutNow(to.ID, to.Address, &ask, &raft.TimeoutNowResponse{}); err != nil {
		return fmt.Errorf("having node %q stand for election: %w", to.ID, err)
	}
	return nil
}

// waitProbes waits for probes under way; a disk that hangs may never let them go.
func (n *Node) waitProbes(ctx context.Context) error {
	return within(ctx, func() error { n.probes.Wait(); return nil })
}
