package agent

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// apply has everything be as it should, as far as it can be now.
func (s *session) apply(ctx context.Context) {
	s.retryAt = time.Time{}
	ready := true
	for _, one := range s.targets {
		err := s.settle(ctx, one)
		if ctx.Err() != nil {
			return
		}
		if one.failure = err; err != nil {
			s.metrics.writeFailed.WithLabelValues(one.id).Inc()
			s.Log.Error("a target is not as it should be; it is tried again", "target", one.id, "error", err)
			s.retryAt = time.Now().Add(retryPause)
		}
		ready = ready && (one.good || !one.required())
	}
	if !s.tellAt.IsZero() && !time.Now().Before(s.tellAt) {
		s.tell(ctx)
	}
	s.noteUse()
	s.known.Ready = ready
	if err := s.save(ctx); err != nil && ctx.Err() == nil {
		s.Log.Error("the state is not saved; it is tried again", "error", err)
		s.retryAt = time.Now().Add(retryPause)
	}
	s.ready(ready)
}

// settle has one target be as it should.
func (s *session) settle(ctx context.Context, t *target) error {
	t.good = false
	var g given
	var leases []string
	values, lost, stale, remove := true, false, false, false
	for _, one := range t.sources {
		held := one.now()
		s.metrics.lost.WithLabelValues(one.config.Secret, one.config.As).Set(number(held.lost))
		if held.Lease.ID == "" {
			continue // there will be one
		}
		lost, stale = lost || held.lost, stale || held.stale
		remove = remove || held.lost && one.config.OnLost == "remove"
		values = values && len(held.Values) > 0
		g = append(g, named{one.config.As, held.Values})
		leases = append(leases, held.Lease.ID)
	}
	switch {
	case remove:
		return s.remove(ctx, t)
	case lost, len(leases) < len(t.sources):
		return nil
	}
	known := s.known.Targets[t.id]
	there, err := t.present(ctx)
	if err != nil {
		return err
	}
	if !stale && known.Spec == t.spec && slices.Equal(known.Leases, leases) && there == known.Content && there != "" {
		known.Before = nil
		s.known.Targets[t.id] = known
		t.good, t.wanted = true, false
		return nil
	}
	if !values {
		if !t.wanted {
			t.wanted = true
			s.Log.Info("getting a new lease, for its values", "target", t.id)
		}
		for _, one := range t.sources {
			one.wantValues()
		}
		return nil
	}
	write, content, err := t.make(g, leases)
	if err != nil {
		return s.redacted(fmt.Errorf("making %s: %w", t.id, err))
	}
	next := savedTarget{Spec: t.spec, Content: content, Leases: leases, Untold: known.Untold || content != there && len(t.reloads) > 0}
	if content != there {
		// Before it is written: whoever comes after a crash must know that these are no older lease's values, and whose may
		// still be there.
		before := next
		if before.Before = known.Before; !slices.Equal(known.Leases, leases) {
			before.Before = slices.Concat(known.Before, known.Leases)
		}
		s.known.Targets[t.id] = before
		if s.tellAt.IsZero() { // also when it fails: it may have been written nevertheless
			s.tellAt = time.Now().Add(tellPause)
		}
		if err := s.fence(ctx); err != nil {
			return err
		}
		if err := write(ctx); err != nil {
			return s.redacted(err)
		}
		s.metrics.writes.WithLabelValues(t.id).Inc()
		s.metrics.writtenAt.WithLabelValues(t.id).SetToCurrentTime()
		s.Log.Info("written", "target", t.id)
	}
	s.known.Targets[t.id] = next
	t.good, t.wanted = true, false
	return nil
}

// remove takes away what was written of a lease that is over.
func (s *session) remove(ctx context.Context, t *target) error {
	if _, written := s.known.Targets[t.id]; !written {
		return nil
	}
	if _, err := t.present(ctx); err != nil {
		return err
	}
	if err := s.fence(ctx); err != nil {
		return err
	}
	if err := t.remove(ctx); err != nil {
		return err
	}
	delete(s.known.Targets, t.id)
	s.Log.Info("removed: its lease is over", "target", t.id)
	return nil
}
