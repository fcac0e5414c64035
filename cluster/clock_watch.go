package cluster

import "time"

// watchClocks compares this node's clock with the others' from time to time.
func (n *Node) watchClocks() {
	// Soon at first: a leader may be at work already.
	wait := n.cfg.Timing.Clock / 8
	for {
		select {
		case <-time.After(wait):
		case <-n.lifetime.Done():
			return
		}
		wait = min(2*wait, n.cfg.Timing.Clock)
		n.compareClocks()
	}
}

// compareClocks asks all members for their time and judges this node's. Only fresh answers count for
// that: after a machine slept, what was known before is wrong, and its own clock may be right.
func (n *Node) compareClocks() {
	r := n.raft.Load()
	samples := n.askClocks(n.lifetime, servers(r))
	at, wall := time.Now(), n.wall()
	offsets := make(map[string]time.Duration)
	electorate := voters(r)
	for _, v := range electorate {
		if string(v.ID) == n.NodeID() {
			offsets[n.NodeID()] = 0
		} else if s, ok := samples[string(v.ID)]; ok {
			says, _ := s.now(at)
			offsets[string(v.ID)] = says.Sub(wall)
		}
	}
	ahead, agree, judged := judgeClocks(offsets, len(electorate))
	before, _ := n.clocks.judgement()
	n.clocks.setJudgement(judged, ahead, agree)
	n.fitness.set(n.unfit())
	now := ClockView{Judged: judged, Ahead: ahead}
	switch was, is := before.Off(), now.Off(); {
	case was == nil && is != nil:
		n.log.Error("this node does not lead while its clock is wrong", "error", is)
	case was != nil && is == nil:
		n.log.Info("this node's clock is no longer known to be wrong")
	}
	for id := range samples {
		n.warnOfClock(id, wall, at)
	}
}

// warnOfClock tells when another clock has moved away from this one, and when it is back.
func (n *Node) warnOfClock(id string, wall, at time.Time) {
	o, ok := n.clocks.offset(id, wall, at, n.clockAge())
	if !ok {
		return
	}
	b := &n.clocks
	b.mu.Lock()
	was := b.warned[id]
	if b.warned == nil {
		b.warned = make(map[string]bool)
	}
	b.warned[id] = o.Notable()
	b.mu.Unlock()
	switch {
	case o.Notable() && !was:
		n.log.Warn("the clock of another node is not this one's", "node", id, "ahead", o.Offset, "error", o.Error)
	case was && !o.Notable():
		n.log.Info("the clock of another node is this one's again", "node", id, "ahead", o.Offset)
	}
}

// clockOff reports whether this node's clock is wrong.
func (n *Node) clockOff() error {
	view, _ := n.clocks.judgement()
	return view.Off()
}
