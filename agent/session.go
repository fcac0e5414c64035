package agent

import (
	"bytes"
	"context"
	"errors"
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

// revoke ends leases that nothing is written of any more, once whoever used them had time to see that.
func (s *session) revoke(ctx context.Context, leases []client.Kept) {
	if len(leases) == 0 {
		return
	}
	select {
	case <-ctx.Done():
		return // they end by themselves
	case <-time.After(time.Duration(defaultOverlap)):
	}
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
