package cluster

import (
	"context"
	"fmt"
)

// raiseLevel puts the highest feature level in force that all members read, unless one of them holds upgrades back.
// The caller holds the admission.
func (n *Node) raiseLevel(ctx context.Context) error {
	target := n.cfg.Levels.Reads()
	if n.cfg.HoldUpgrade || target <= n.cfg.Levels.InForce() {
		return nil
	}
	for _, s := range servers(n.raft.Load()) {
		if string(s.ID) == n.NodeID() {
			continue
		}
		one, ok := n.contacts.look(string(s.ID))
		if !ok || !one.silentSince.IsZero() || one.report.Hold {
			return nil
		}
		target = min(target, reads(one.report.Level))
	}
	if target <= n.cfg.Levels.InForce() {
		return nil
	}
	return n.raise(ctx, target)
}

func (n *Node) raise(ctx context.Context, to uint64) error {
	// Asked once more, now: a node may have been exchanged for an older one.
	if err := n.allRead(ctx, to); err != nil {
		return err
	}
	from := n.cfg.Levels.InForce()
	if err := n.cfg.Levels.Raise(ctx, to); err != nil {
		return fmt.Errorf("raising the feature level to %d: %w", to, err)
	}
	n.log.Info("feature level raised; older versions cannot take part any more", "from", from, "to", to)
	return nil
}

// allRead returns an error wrapping ErrTooOld that names a member which does not read a level, or does not say.
func (n *Node) allRead(ctx context.Context, level uint64) error {
	for _, s := range servers(n.raft.Load()) {
		got, err := n.report(ctx, s)
		if err != nil {
			return fmt.Errorf("%w: node %q does not answer: start it, or remove it if it is gone for good", ErrTooOld, s.ID)
		}
		if reads(got.Level) < level {
			return fmt.Errorf("%w: node %q (version %s) reads up to level %d: upgrade it to a version that reads level %d", ErrTooOld, s.ID, got.Version, reads(got.Level), level)
		}
	}
	return nil
}

// FinishUpgrade puts the highest feature level in force that any member reads, and returns it; in a dry run it only
// returns it. It returns an error wrapping ErrTooOld that names a member which does not read it, or does not
// answer; also ErrNotLeader.
func (n *Node) FinishUpgrade(ctx context.Context, dryRun bool) (level uint64, err error) {
	if !n.LeaderReady() {
		return 0, ErrNotLeader
	}
	n.peers.admission.Lock()
	defer n.peers.admission.Unlock()
	level = n.cfg.Levels.Reads()
	for _, s := range servers(n.raft.Load()) {
		// A leader of the older version too is one that has to be upgraded.
		if got, err := n.report(ctx, s); err == nil {
			level = max(level, reads(got.Level))
		}
	}
	switch {
	case level <= n.cfg.Levels.InForce():
		return n.cfg.Levels.InForce(), nil
	case dryRun:
		return level, n.allRead(ctx, level)
	}
	return level, n.raise(ctx, level)
}

// rememberLevel writes the level in force into the data directory, so that an older version finds it before it
// touches anything.
func (n *Node) rememberLevel() {
	level := n.cfg.Levels.InForce()
	if n.isFresh() || level <= n.rememberedLevel {
		return
	}
	if err := n.amendIdentity(func(id *identity) { id.Level = level }); err != nil {
		n.log.Error("writing down the feature level", "error", err)
		return
	}
	n.rememberedLevel = level
}
