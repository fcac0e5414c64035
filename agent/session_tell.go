package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"broker/api/types"
)

// tell has the readers of what was written be told, each once.
func (s *session) tell(ctx context.Context) {
	s.tellAt = time.Time{}
	results := map[string]error{}
	for _, t := range s.targets {
		known := s.known.Targets[t.id]
		if !known.Untold {
			continue
		}
		if !t.good {
			s.tellAt = time.Now().Add(retryPause)
			continue
		}
		failed := false
		for _, r := range t.reloads {
			err, done := results[r.name()]
			if !done {
				err = s.reload(ctx, r)
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

// reload tells some readers. Its error holds the end of what a command said, if that can be told without values.
func (s *session) reload(ctx context.Context, r *Reload) error {
	hidden := s.values()
	said, err := r.run(ctx)
	if err == nil || said == "" {
		return err
	}
	if !s.allKnown(r) {
		return fmt.Errorf("%w (its output may repeat values of an earlier start and is left out)", err)
	}
	said = redact(said, append(hidden, s.values()...)) // there may be others meanwhile
	if len(said) > lastOutput {
		said = "…" + strings.ToValidUTF8(said[len(said)-lastOutput:], "")
	}
	return fmt.Errorf("%w: %s", err, said)
}

// allKnown reports whether the values of all that these readers read are known, and so can be hidden.
func (s *session) allKnown(r *Reload) bool {
	for _, t := range s.targets {
		if !slices.ContainsFunc(t.reloads, func(one *Reload) bool { return one.name() == r.name() }) {
			continue
		}
		for _, one := range t.sources {
			if len(one.now().Values) == 0 {
				return false
			}
		}
	}
	return true
}

// values returns all that are known.
func (s *session) values() (all []types.Values) {
	for _, one := range s.sources {
		all = append(all, one.now().Values)
	}
	return all
}

// redacted hides values in an error's text.
func (s *session) redacted(err error) error { return errors.New(redact(err.Error(), s.values())) }
