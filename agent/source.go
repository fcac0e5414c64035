package agent

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"broker/api/client"
	"broker/api/types"
)

const (
	issueWait  = 3 * time.Second // for one lease, before it is told that there is none yet
	slowestTry = time.Minute
)

// source is a secret of which a lease is kept.
type source struct {
	config  *Secret
	asked   string // a digest of what is asked for
	client  *client.Client
	log     *slog.Logger
	metrics *metrics
	inUse   func(lease string) bool
	changed func()

	// What begin was told.
	resume []client.Kept
	before string // a digest of what was asked for then

	mu      sync.Mutex
	keeper  *client.Keeper // nil: there is no lease yet
	revoked bool           // there is none any more
	failure error          // of the newest try to get or renew a lease
}

// holding is what a source holds.
type holding struct {
	types.Issued      // no lease when its id is empty, and no values when it was gone on with
	lost         bool // the lease is over
	stale        bool // it was asked for in another way
}

func (s *session) newSource(config *Secret) *source {
	asked, _ := asJSON([]any{config.Secret, config.TTL, config.Name, config.Labels, config.Parameters}, "") // what YAML reads JSON writes
	return &source{
		config: config, asked: digest(asked), client: s.client, log: s.Log.With("secret", config.Secret), metrics: s.metrics,
		inUse: s.inUse, changed: s.raise,
	}
}

// begin has the source go on with the leases that were kept before, and returns those that are not this secret's.
func (s *source) begin(saved savedSecret) (others []client.Kept) {
	s.before = saved.Asked
	for _, one := range saved.Leases {
		if one.Lease.Secret == s.config.Secret {
			s.resume = append(s.resume, one)
		} else {
			others = append(others, one)
		}
	}
	return others
}

// keep holds a lease until ctx ends, and leaves it alive then, unless revoke says otherwise.
func (s *source) keep(ctx context.Context, revoke func() bool) {
	for failed := 0; ctx.Err() == nil; {
		keeper, err := s.take(ctx)
		if err != nil {
			failed++
			s.fail(ctx, err, failed)
			continue
		}
		s.set(keeper)
		<-keeper.Done() // as ctx is
		if revoke() {
			if err := keeper.Close(); err != nil {
				s.log.Warn("a lease could not be revoked", "error", err)
			}
			s.mu.Lock()
			s.revoked = true
			s.mu.Unlock()
		}
	}
}

// take gets a keeper: for the lease there was, or for a first one.
func (s *source) take(ctx context.Context) (*client.Keeper, error) {
	if n := len(s.resume); n > 0 && s.resume[n-1].RevokeAt.IsZero() {
		s.log.Info("going on with a lease", "lease", s.resume[n-1].Lease.ID)
	} else {
		s.log.Info("asking for a lease")
	}
	spec := types.IssueSpec{Name: s.config.Name, Labels: s.config.Labels, Parameters: s.config.Parameters}
	if s.config.TTL > 0 {
		ttl := types.Duration(s.config.TTL)
		spec.TTL = &ttl
	}
	return s.client.Keep(ctx, client.KeepConfig{
		Secret: s.config.Secret, Spec: spec, Overlap: time.Duration(s.config.Overlap), Wait: issueWait,
		Resume: s.resume, Leave: true, InUse: s.inUse, Notify: s.hear,
	})
}

// fail tells that there is no lease, and waits before the next try.
func (s *source) fail(ctx context.Context, err error, failed int) {
	s.note(err)
	if ctx.Err() != nil {
		return
	}
	s.log.Warn("there is no lease; it is tried again", "error", err)
	s.metrics.failures.WithLabelValues(s.config.Secret, s.config.As, "issue").Inc()
	s.changed()
	select {
	case <-ctx.Done():
	case <-time.After(min(time.Second<<min(failed-1, 6), slowestTry)):
	}
}

func (s *source) set(keeper *client.Keeper) {
	s.mu.Lock()
	s.keeper, s.failure = keeper, nil
	s.mu.Unlock()
	lease := keeper.Current().Lease
	s.log.Info("has a lease", "lease", lease.ID, "expires_at", lease.ExpiresAt.UTC())
	s.show(lease)
	s.changed()
}

// hear is told by the keeper.
func (s *source) hear(e client.KeepEvent) {
	s.show(e.Lease)
	s.note(e.Err)
	count := func(what string) { s.metrics.failures.WithLabelValues(s.config.Secret, s.config.As, what).Inc() }
	switch e.Kind {
	case client.KeepRenewed:
		s.metrics.renewals.WithLabelValues(s.config.Secret, s.config.As).Inc()
	case client.KeepReplaced:
		s.metrics.replacements.WithLabelValues(s.config.Secret, s.config.As).Inc()
		s.log.Info("has a new lease", "lease", e.Lease.ID, "replaces", e.Previous.ID)
	case client.KeepDelayed:
		count("renew")
		s.log.Warn("a call failed and is made again", "lease", e.Lease.ID, "expires_at", e.Lease.ExpiresAt.UTC(), "error", e.Err)
	case client.KeepLost:
		count("lost")
		s.log.Error("the lease is over", "lease", e.Lease.ID, "on_lost", strings.TrimSpace(s.config.OnLost+" "), "error", e.Err)
	case client.KeepEnding:
	}
	s.changed()
}

func (s *source) note(failure error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = failure
}

func (s *source) show(lease types.Lease) {
	s.metrics.expires.WithLabelValues(s.config.Secret, s.config.As).Set(float64(lease.ExpiresAt.UnixMilli()) / 1000)
}

// now returns what is held.
func (s *source) now() holding {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keeper == nil {
		return holding{}
	}
	// In this order: a lease that is replaced between the two is taken for a good one until the next look, not a good one for lost.
	h := holding{Issued: s.keeper.Current()}
	h.lost = s.keeper.Lost()
	h.stale = len(h.Values) == 0 && s.before != s.asked
	return h
}

// saved is what another agent needs to go on.
func (s *source) saved() savedSecret {
	h := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	out := savedSecret{Asked: s.asked, Overlap: types.Duration(s.config.Overlap), Leases: s.resume}
	switch {
	case s.revoked:
		out.Leases = nil
	case s.keeper != nil:
		out.Leases = s.keeper.Kept()
	}
	if h.stale || s.keeper == nil {
		out.Asked = s.before
	}
	return out
}

// problem says why there is no lease, or why it is not renewed; nil when it is or it is not known yet.
func (s *source) problem() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != nil {
		return fmt.Errorf("%s: %w", s.config.As, s.failure)
	}
	return nil
}

// refused says why there will be no values. A lease that is lost is no reason: another one is asked for.
func (s *source) refused() error {
	err := s.problem()
	if h := s.now(); err == nil || client.Unavailable(err) || h.lost || len(h.Values) > 0 {
		return nil
	}
	return err
}

// wantValues has another lease be got if the values of this one are not known.
func (s *source) wantValues() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keeper != nil {
		s.keeper.Replace()
	}
}
