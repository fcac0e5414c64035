package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"broker/api/types"
)

// freshen makes a read wait until the local state is as new as it asks for.
func (s *Server) freshen(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c := callOf(r.Context()); c.changes() || c.open || r.URL.Path == metricsPath {
			next.ServeHTTP(w, r)
			return
		}
		if err := s.sound(); err != nil && !isClusterPath(r.URL.Path) {
			s.fail(w, r, err)
			return
		}
		mode, err := readModeOf(r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		if err := s.await(r.Context(), mode, w.Header()); err != nil {
			s.fail(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// sound refuses what would be read from a state that is wrong.
func (s *Server) sound() error {
	why := s.config.Cluster.Diverged()
	if why == nil {
		return nil
	}
	p := problem(codeDiverged, "this node's state is not what most nodes made of the log: ask another node")
	p.Hint = why.Error()
	return p
}

// readMode is how new the state must be.
type readMode struct {
	consistency types.Consistency
	minIndex    uint64
	maxStale    time.Duration // zero: however stale
}

// readModeOf reads the mode: what the query says; else session when an index is given; else stale
// for the cluster's state, which must answer without a leader, and for streams, which wait for what is
// newer anyway; else linearizable.
func readModeOf(r *http.Request) (readMode, error) {
	query := r.URL.Query()
	mode := readMode{consistency: types.Consistency(query.Get("consistency"))}
	if text := r.Header.Get(types.HeaderMinIndex); text != "" {
		index, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return mode, invalid(types.HeaderMinIndex, "must be an index of the log: a whole number")
		}
		mode.minIndex = index
		if mode.consistency == "" {
			mode.consistency = types.Session
		}
	}
	if text := query.Get("max_stale"); text != "" {
		age, err := types.ParseDuration(text)
		if err != nil || age <= 0 {
			return mode, invalid("max_stale", types.DurationRule)
		}
		mode.maxStale = age.Std()
		if mode.consistency == "" {
			mode.consistency = types.Stale
		}
	}
	switch mode.consistency {
	case "":
		mode.consistency = types.Linearizable
		if isClusterPath(r.URL.Path) || wantsStream(r) {
			mode.consistency = types.Stale
		}
	case types.Linearizable, types.Session, types.Stale:
	default:
		return mode, invalid("consistency", "must be linearizable, session or stale")
	}
	return mode, nil
}

// await blocks until the local state suffices for the mode, and says in the header what was done.
func (s *Server) await(ctx context.Context, mode readMode, header http.Header) error {
	header.Set(types.HeaderConsistency, string(mode.consistency))
	ctx, cancel := context.WithTimeout(ctx, s.config.LeaderTimeout)
	defer cancel()
	index := mode.minIndex
	switch mode.consistency {
	case types.Stale:
		age := s.config.Cluster.Staleness()
		header.Set(types.HeaderStaleness, stalenessText(age))
		if mode.maxStale > 0 && age > mode.maxStale {
			return problem(codeTooStale, "this node has not heard of a leader for longer than max_stale allows")
		}
		return nil
	case types.Linearizable:
		fresh, err := s.readIndex(ctx)
		if err != nil {
			return err
		}
		index = max(index, fresh)
	}
	if index == 0 {
		return nil
	}
	if err := s.config.Cluster.WaitApplied(ctx, index); err != nil {
		return problem(codeTooStale, "this node did not reach the index in time")
	}
	return nil
}

// readIndex asks the leader for its index, again and again while there is none.
func (s *Server) readIndex(ctx context.Context) (uint64, error) {
	for {
		index, err := s.config.Cluster.ReadIndex(ctx)
		if err == nil {
			return index, nil
		}
		if !pause(ctx, s.config.RetryPause) {
			return 0, noLeader()
		}
	}
}

func noLeader() *types.Problem {
	p := problem(codeNoLeader, "the cluster has no leader at the moment; nothing was done")
	p.Hint = "try again soon; a cluster that has lost most of its nodes needs them back"
	return p
}

func stalenessText(age time.Duration) string {
	if age == NeverHeard {
		return "unknown"
	}
	return strconv.FormatInt(age.Milliseconds(), 10)
}

// pause waits and reports whether the context still lives.
func pause(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func isWrite(method string) bool { return method != http.MethodGet && method != http.MethodHead }

func isClusterPath(path string) bool {
	return path == apiPrefix+"/cluster" || path == apiPrefix+"/cluster/activity" || path == apiPrefix+"/cluster/members" || strings.HasPrefix(path, apiPrefix+"/cluster/members/")
}
