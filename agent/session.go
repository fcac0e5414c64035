package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"broker/api/client"
	"broker/api/types"
)

// tellPause gathers what changes at about the same time, so that readers are told once.
const tellPause = time.Second

// retryPause is between two tries to write.
const retryPause = 5 * time.Second

// session is the time in which this agent works, with one configuration. Its methods are its own goroutine's.
type session struct {
	*agent
	client  *client.Client
	keep    store
	known   state
	written []byte // the state as it was saved
	changed chan struct{}
	sources map[string]*source
	targets []*target
	retryAt time.Time
	tellAt  time.Time
	started time.Time
	revoked atomic.Bool // the leases are to be revoked at the end
}

func newSession(a *agent, c *client.Client, keep store, known state, api *kubernetes) *session {
	s := &session{agent: a, client: c, keep: keep, known: known, changed: make(chan struct{}, 1), sources: map[string]*source{}}
	s.started = time.Now()
	s.tellAt = s.started.Add(tellPause) // what was not told before this process began
	raise := func() {
		select {
		case s.changed <- struct{}{}:
		default: // it is up
		}
	}
	for _, one := range a.Config.Secrets {
		s.sources[one.As] = newSource(one, c, a.Log, a.metrics, raise)
	}
	s.targets = targetsOf(a.Config, s.sources, api)
	if s.known.Targets == nil {
		s.known.Targets = map[string]savedTarget{}
	}
	return s
}

// work keeps everything good until ctx ends, another agent works, or with Once everything is written.
func (s *session) work(ctx context.Context) (err error) {
	var strangers []client.Kept
	for name, saved := range s.known.Secrets {
		if of, there := s.sources[name]; there {
			strangers = append(strangers, of.begin(saved, s.started)...)
		} else {
			strangers = append(strangers, saved.Leases...)
		}
	}
	s.forget()
	keeping, end := context.WithCancel(context.WithoutCancel(ctx))
	var kept sync.WaitGroup
	for _, one := range s.sources {
		kept.Go(func() { one.keep(keeping, s.revoked.Load) })
	}
	kept.Go(func() { s.revoke(keeping, strangers) })
	defer func() {
		// Only who ends for good revokes: not for another configuration, or because another agent works.
		s.revoked.Store(s.Config.RevokeAtExit && !s.Once && errors.Is(context.Cause(ctx), context.Canceled))
		end()
		kept.Wait()
		if err == nil && s.Once && ctx.Err() != nil {
			err = s.late(ctx) // now that each has said why it has no lease
		}
		select {
		case <-s.keep.lost():
			return // the state is another's now
		default:
		}
		// What ended it does not keep it from saving what the next one needs.
		saving, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if failed := s.save(saving); failed != nil && err == nil {
			err = failed
		}
	}()
	for {
		s.apply(ctx)
		if s.Once {
			if done, err := s.over(ctx); done || err != nil {
				return err
			}
		}
		timer := time.NewTimer(s.pause())
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-s.keep.lost():
			timer.Stop()
			return errTaken
		case <-s.changed:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// pause is how long there is nothing to do unless something changes.
func (s *session) pause() time.Duration {
	next := time.Now().Add(time.Minute)
	for _, at := range []time.Time{s.retryAt, s.tellAt} {
		if !at.IsZero() && at.Before(next) {
			next = at
		}
	}
	return max(time.Until(next), 0)
}

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

// save writes the state down if it changed.
func (s *session) save(ctx context.Context) error {
	s.known.Secrets = map[string]savedSecret{}
	for name, one := range s.sources {
		if saved := one.saved(); len(saved.Leases) > 0 {
			s.known.Secrets[name] = saved
		}
	}
	text, err := asJSON(s.known, "")
	if err != nil {
		return err
	}
	if bytes.Equal(text, s.written) {
		return nil
	}
	if err := s.keep.save(ctx, s.known); err != nil {
		return err
	}
	s.written = text
	return nil
}

// forget drops what the configuration does not have any more. What was written stays.
func (s *session) forget() {
	for id := range s.known.Targets {
		if !slices.ContainsFunc(s.targets, func(t *target) bool { return t.id == id }) {
			s.Log.Warn("it is not in the configuration any more; it stays, and its values end", "target", id)
			delete(s.known.Targets, id)
		}
	}
}

// revoke ends leases that nothing is written of any more.
func (s *session) revoke(ctx context.Context, leases []client.Kept) {
	for _, one := range leases {
		_, err := s.client.RevokeLease(ctx, one.Lease.ID, types.RevokeSpec{Reason: "its secret is not in the agent's configuration any more"})
		if err != nil && client.Code(err) != "not_found" {
			s.Log.Warn("a lease that is not needed any more could not be revoked; it ends by itself", "lease", one.Lease.ID, "error", err)
		}
	}
}

// over reports, of a run that is to end by itself, whether everything is written, or why it will not be.
func (s *session) over(ctx context.Context) (bool, error) {
	if s.known.Ready {
		s.tell(ctx)
		return true, nil
	}
	for _, one := range s.targets {
		for _, of := range one.sources {
			if err := of.problem(); err != nil && !client.Unavailable(err) && one.required() {
				return false, err
			}
		}
		if one.failure != nil && one.required() {
			return false, one.failure
		}
	}
	return false, nil
}

// late says what was missing when time was up.
func (s *session) late(ctx context.Context) error {
	for _, one := range s.targets {
		if err := one.problem(); err != nil && one.required() {
			return err
		}
	}
	return context.Cause(ctx)
}
