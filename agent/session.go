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
	gone    gone
	targets []*target
	retryAt time.Time
	tellAt  time.Time
	revoked atomic.Bool                     // the leases are to be revoked at the end
	used    atomic.Pointer[map[string]bool] // leases whose values are, or may be, in targets
}

func newSession(a *agent, c *client.Client, keep store, known state, api *kubernetes) *session {
	s := &session{agent: a, client: c, keep: keep, known: known, changed: make(chan struct{}, 1), sources: map[string]*source{}}
	s.gone = gone{client: c, log: a.Log, inUse: s.inUse, changed: s.raise, left: map[string]savedSecret{}}
	s.tellAt = time.Now().Add(tellPause) // what was not told before this process began
	for _, one := range a.Config.Secrets {
		s.sources[one.As] = s.newSource(one)
	}
	s.targets = targetsOf(a.Config, s.sources, api)
	if s.known.Targets == nil {
		s.known.Targets = map[string]savedTarget{}
	}
	s.forget()
	s.clean()
	s.noteUse()
	return s
}

// raise has the targets be looked at.
func (s *session) raise() {
	select {
	case s.changed <- struct{}{}:
	default: // it is up
	}
}

// inUse reports whether a lease's values are, or may be, in a target. It is called from everywhere.
func (s *session) inUse(lease string) bool { return (*s.used.Load())[lease] }

// noteUse takes over what was written.
func (s *session) noteUse() {
	used := map[string]bool{}
	for _, one := range s.known.Targets {
		for _, lease := range slices.Concat(one.Leases, one.Before) {
			used[lease] = true
		}
	}
	s.used.Store(&used)
}

// work keeps everything good until ctx ends, another agent works, or with Once everything is written.
func (s *session) work(ctx context.Context) (err error) {
	for name, saved := range s.known.Secrets {
		others := saved.Leases
		if of, there := s.sources[name]; there {
			others = of.begin(saved)
		}
		s.gone.add(name, saved, others)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	keeping, end := context.WithCancel(context.WithoutCancel(ctx))
	var kept sync.WaitGroup
	kept.Go(func() {
		select {
		case <-s.keep.lost():
			stop(errTaken) // also what is being done just now
		case <-keeping.Done():
		}
	})
	for _, one := range s.sources {
		kept.Go(func() { one.keep(keeping, s.revoked.Load) })
	}
	kept.Go(func() { s.gone.revoke(keeping) })
	defer func() {
		// Only who ends for good revokes: not for another configuration, or because another agent works.
		s.revoked.Store(s.Config.RevokeAtExit && !s.Once && errors.Is(context.Cause(ctx), context.Canceled))
		end()
		kept.Wait()
		if err == nil && s.Once && ctx.Err() != nil {
			err = s.late(ctx) // now that each has said why it has no lease
		}
		if errors.Is(context.Cause(ctx), errTaken) {
			return // the state is another's now
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
		if s.Once && ctx.Err() == nil {
			if done, err := s.over(ctx); done || err != nil {
				return err
			}
		}
		timer := time.NewTimer(s.pause())
		select {
		case <-ctx.Done():
			timer.Stop()
			if cause := context.Cause(ctx); errors.Is(cause, errTaken) {
				return cause
			}
			return nil
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
	s.known.Secrets = s.gone.saved()
	for name, one := range s.sources {
		if saved := one.saved(); len(saved.Leases) > 0 {
			saved.Leases = append(s.known.Secrets[name].Leases, saved.Leases...)
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

// fence saves the state in any case, which only who works can: what a target was found to have before it is still has
// if nobody else began to work until then.
func (s *session) fence(ctx context.Context) error {
	s.written = nil
	if err := s.save(ctx); err != nil {
		return err
	}
	return ctx.Err()
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

// clean removes what a crash left half written, which has values.
func (s *session) clean() {
	for _, one := range s.targets {
		if one.file == nil {
			continue
		}
		if err := one.file.clean(); err != nil {
			s.Log.Error("a file with values may be left", "error", err)
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
		if one.good || !one.required() {
			continue
		}
		for _, of := range one.sources {
			if err := of.refused(); err != nil {
				return false, err
			}
		}
		if one.failure != nil {
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
