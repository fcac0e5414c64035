package agent

import (
	"context"
	"fmt"
	"slices"
	"time"

	"broker/api/types"
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
			one.good = false
			s.metrics.writeFailed.WithLabelValues(one.id).Inc()
			s.Log.Error("a target is not as it should be; it is tried again", "target", one.id, "error", err)
			s.retryAt = time.Now().Add(retryPause)
		}
		ready = ready && (one.good || !one.required())
	}
	if !s.tellAt.IsZero() && !time.Now().Before(s.tellAt) {
		s.tell(ctx)
	}
	s.known.Ready = ready
	if err := s.save(ctx); err != nil && ctx.Err() == nil {
		s.Log.Error("the state is not saved; it is tried again", "error", err)
		s.retryAt = time.Now().Add(retryPause)
	}
	s.ready(ready)
}

// settle has one target be as it should.
func (s *session) settle(ctx context.Context, t *target) error {
	var g given
	var leases []string
	values, lost := true, false
	for _, one := range t.sources {
		issued, over := one.now()
		if issued.Lease.ID == "" {
			t.good = false
			return nil // there will be one
		}
		lost = lost || over
		values = values && len(issued.Values) > 0
		g = append(g, named{one.config.As, issued.Values})
		leases = append(leases, issued.Lease.ID)
	}
	for _, one := range t.sources {
		_, over := one.now()
		s.metrics.lost.WithLabelValues(one.config.Secret, one.config.As).Set(number(over))
	}
	if lost {
		t.good = false
		if t.removes() {
			delete(s.known.Targets, t.id)
			return t.remove(ctx)
		}
		return nil
	}
	known := s.known.Targets[t.id]
	there, err := t.present(ctx)
	if err != nil {
		return err
	}
	if known.Spec == t.spec && slices.Equal(known.Leases, leases) && there == known.Content && there != "" {
		t.good = true
		return nil
	}
	if !values {
		t.good = false
		for i, one := range t.sources {
			if len(g[i].values) == 0 {
				one.wantValues()
			}
		}
		return nil
	}
	write, content, err := t.make(g, leases)
	if err != nil {
		return s.redacted(fmt.Errorf("making %s: %w", t.id, err))
	}
	next := savedTarget{Spec: t.spec, Content: content, Leases: leases, Untold: known.Untold || content != there && len(t.reloads) > 0}
	s.known.Targets[t.id] = next
	if content != there {
		// Before it is written: whoever comes after a crash must know that these are no older lease's values.
		if err := s.save(ctx); err != nil {
			return err
		}
		if err := write(ctx); err != nil {
			return s.redacted(err)
		}
		s.metrics.writes.WithLabelValues(t.id).Inc()
		s.metrics.writtenAt.WithLabelValues(t.id).SetToCurrentTime()
		s.Log.Info("written", "target", t.id)
		s.tellAt = time.Now().Add(tellPause)
	}
	t.good = true
	return nil
}

// tell has the readers of what was written be told, each once.
func (s *session) tell(ctx context.Context) {
	s.tellAt = time.Time{}
	results := map[string]error{}
	for _, t := range s.targets {
		known := s.known.Targets[t.id]
		if !known.Untold || !t.good {
			continue
		}
		failed := false
		for _, r := range t.reloads {
			err, done := results[r.name()]
			if !done {
				err = s.redacted(r.run(ctx))
				results[r.name()] = err
				result := "done"
				if err != nil {
					result = "failed"
					s.Log.Error("telling of new values failed; it is tried again when there are others", "error", err)
				} else {
					s.Log.Info("told of new values", "reload", r.name())
				}
				s.metrics.reloads.WithLabelValues(result).Inc()
			}
			failed = failed || err != nil
		}
		known.Untold = failed
		s.known.Targets[t.id] = known
	}
}

// redacted hides values in an error's text.
func (s *session) redacted(err error) error {
	if err == nil {
		return nil
	}
	var all []types.Values
	for _, one := range s.sources {
		issued, _ := one.now()
		all = append(all, issued.Values)
	}
	text := redact(err.Error(), all)
	if len(text) > lastOutput {
		text = text[:lastOutput/2] + " … " + text[len(text)-lastOutput/2:]
	}
	return fmt.Errorf("%s", text)
}
