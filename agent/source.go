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
	changed func()
	again   chan struct{} // there have to be values, and so another lease

	mu      sync.Mutex
	keeper  *client.Keeper // nil: there is no lease yet
	resume  []client.Kept  // what the next one goes on with
	lost    bool
	failure error // of the newest try to get a first lease
}

func newSource(config *Secret, c *client.Client, log *slog.Logger, m *metrics, changed func()) *source {
	asked, _ := asJSON([]any{config.Secret, config.TTL, config.Name, config.Labels, config.Parameters}, "") // what YAML reads JSON writes
	return &source{
		config: config, asked: digest(asked), client: c, log: log.With("secret", config.Secret), metrics: m, changed: changed,
		again: make(chan struct{}, 1),
	}
}

// begin decides what becomes of the leases that were kept before, and returns those that are not this secret's.
func (s *source) begin(saved savedSecret, now time.Time) (strangers []client.Kept) {
	for _, one := range saved.Leases {
		if one.Lease.Secret != s.config.Secret {
			strangers = append(strangers, one)
			continue
		}
		if one.RevokeAt.IsZero() && (saved.Asked != s.asked || !now.Before(one.Lease.ExpiresAt)) {
			one.RevokeAt = now.Add(time.Duration(s.config.Overlap))
		}
		s.resume = append(s.resume, one)
	}
	return strangers
}

// keep holds a lease until ctx ends, and leaves it alive then, unless revoke says otherwise.
func (s *source) keep(ctx context.Context, revoke func() bool) {
	for failed := 0; ctx.Err() == nil; {
		keeper, end, err := s.take(ctx)
		if err != nil {
			failed++
			s.fail(ctx, err, failed)
			continue
		}
		failed = 0
		select {
		case <-s.again: // it was meant for the keeper before; whoever still wants values says so again
		default:
		}
		s.set(keeper)
		select {
		case <-s.again:
			s.log.Info("getting a new lease, for its values")
			s.put(s.retired(keeper.Release()))
		case <-ctx.Done():
			if revoke() {
				s.put(nil)
				if err := keeper.Close(); err != nil {
					s.log.Warn("a lease could not be revoked", "error", err)
				}
			} else {
				s.put(keeper.Release())
			}
		}
		end()
	}
}

// take gets a keeper: for the lease there was, or for a first one.
func (s *source) take(ctx context.Context) (*client.Keeper, context.CancelFunc, error) {
	// What is gone on with must not be revoked because ctx ends; what is only just being issued should be.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	s.mu.Lock()
	resume := s.resume
	s.mu.Unlock()
	begun := func() bool { return true }
	if n := len(resume); n > 0 && resume[n-1].RevokeAt.IsZero() {
		s.log.Info("going on with a lease", "lease", resume[n-1].Lease.ID)
	} else {
		s.log.Info("asking for a lease")
		begun = context.AfterFunc(ctx, end)
	}
	spec := types.IssueSpec{Name: s.config.Name, Labels: s.config.Labels, Parameters: s.config.Parameters}
	if s.config.TTL > 0 {
		ttl := types.Duration(s.config.TTL)
		spec.TTL = &ttl
	}
	keeper, err := s.client.Keep(life, client.KeepConfig{
		Secret: s.config.Secret, Spec: spec, Overlap: time.Duration(s.config.Overlap), Wait: issueWait,
		Resume: resume, Notify: s.hear,
	})
	if err != nil {
		end()
		return nil, nil, err
	}
	begun()
	return keeper, end, nil
}

// fail tells that there is no lease, and waits before the next try.
func (s *source) fail(ctx context.Context, err error, failed int) {
	s.mu.Lock()
	s.failure = err
	s.mu.Unlock()
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
	s.keeper, s.lost, s.failure = keeper, false, nil
	s.mu.Unlock()
	lease := keeper.Current().Lease
	s.log.Info("has a lease", "lease", lease.ID, "expires_at", lease.ExpiresAt.UTC())
	s.show(lease)
	s.changed()
}

// put leaves leases for the next keeper.
func (s *source) put(resume []client.Kept) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keeper, s.resume = nil, resume
}

// retired has all of the leases end an overlap from now.
func (s *source) retired(kept []client.Kept) []client.Kept {
	var out []client.Kept
	for _, one := range kept {
		if one.RevokeAt.IsZero() {
			one.RevokeAt = time.Now().Add(time.Duration(s.config.Overlap))
		}
		out = append(out, one)
	}
	return out
}

// hear is told by the keeper.
func (s *source) hear(e client.KeepEvent) {
	s.show(e.Lease)
	count := func(what string) { s.metrics.failures.WithLabelValues(s.config.Secret, s.config.As, what).Inc() }
	switch e.Kind {
	case client.KeepRenewed:
		s.metrics.renewals.WithLabelValues(s.config.Secret, s.config.As).Inc()
	case client.KeepReplaced:
		s.metrics.replacements.WithLabelValues(s.config.Secret, s.config.As).Inc()
		s.log.Info("has a new lease", "lease", e.Lease.ID, "replaces", e.Previous.ID)
		s.setLost(false)
	case client.KeepDelayed:
		count("renew")
		s.log.Warn("a call failed and is made again", "lease", e.Lease.ID, "expires_at", e.Lease.ExpiresAt.UTC(), "error", e.Err)
	case client.KeepLost:
		count("lost")
		s.log.Error("the lease is over", "lease", e.Lease.ID, "on_lost", strings.TrimSpace(s.config.OnLost+" "), "error", e.Err)
		s.setLost(true)
	case client.KeepEnding:
	}
	s.changed()
}

func (s *source) setLost(lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = lost
}

func (s *source) show(lease types.Lease) {
	s.metrics.expires.WithLabelValues(s.config.Secret, s.config.As).Set(float64(lease.ExpiresAt.UnixMilli()) / 1000)
}

// now returns what is held: there is no lease when its id is empty, and no values when it was gone on with.
func (s *source) now() (issued types.Issued, lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keeper == nil {
		return issued, s.lost
	}
	return s.keeper.Current(), s.lost
}

// saved is what another agent needs to go on.
func (s *source) saved() savedSecret {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keeper == nil {
		return savedSecret{s.asked, s.resume}
	}
	return savedSecret{s.asked, s.keeper.Kept()}
}

// problem says why there is no lease, nil when there is one or it is not known yet.
func (s *source) problem() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != nil {
		return fmt.Errorf("%s: %w", s.config.As, s.failure)
	}
	return nil
}

// wantValues has another lease be got, once.
func (s *source) wantValues() {
	select {
	case s.again <- struct{}{}:
	default:
	}
}
