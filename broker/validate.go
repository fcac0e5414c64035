package broker

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"broker/fsm"
	"broker/providers"
)

// The limits of free texts and numbers of things in a request.
const (
	maxDescription = 1000
	maxLeaseName   = 128
	maxLabels      = 32
	maxLabelValue  = 256
	maxReason      = 500
	maxTTL         = 10 * 365 * 24 * time.Hour
)

// problems collects what is wrong with a request, so that all of it is told at once.
type problems []providers.FieldError

func (ps *problems) add(field, format string, args ...any) {
	*ps = append(*ps, providers.FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
}

func (ps problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	return &InvalidError{Problems: ps}
}

func (ps *problems) name(field, name string) {
	if !fsm.ValidName(name) {
		ps.add(field, "%q is no valid name: %s", name, fsm.NameRule)
	}
}

func (ps *problems) environment(field string, name fsm.EnvironmentName) {
	if !fsm.ValidEnvironmentName(string(name)) {
		ps.add(field, "%q is no environment: it is app/env, e.g. payments/production, each of %s", name, fsm.NameRule)
	}
}

func (ps *problems) text(field, text string, limit int) {
	switch {
	case len(text) > limit:
		ps.add(field, "at most %d bytes, not %d", limit, len(text))
	case strings.ContainsFunc(text, unicode.IsControl):
		ps.add(field, "control characters are not allowed")
	}
}

func (ps *problems) patterns(field string, list []fsm.Pattern) {
	for _, p := range list {
		if !fsm.ValidPattern(string(p)) {
			ps.add(field, "%q matches no environments: give app/env, app/* or *", p)
		}
	}
}

func (ps *problems) ttl(field string, ttl time.Duration) {
	switch {
	case ttl < MinTTL:
		ps.add(field, "at least %s, not %s", fsm.FormatTTL(MinTTL), fsm.FormatTTL(ttl))
	case ttl > maxTTL:
		ps.add(field, "at most %s, not %s", fsm.FormatTTL(maxTTL), fsm.FormatTTL(ttl))
	case ttl%time.Millisecond != 0:
		ps.add(field, "whole milliseconds only, not %s", ttl)
	}
}

func (ps *problems) labels(labels map[string]string) {
	if len(labels) > maxLabels {
		ps.add("labels", "at most %d, not %d", maxLabels, len(labels))
	}
	for _, k := range sortedKeys(labels) {
		if !fsm.ValidLabelKey(k) {
			ps.add("labels", "%q is no valid key: 1 to 63 letters, digits, '_', '.', '/' or '-'", k)
		}
		ps.text("labels."+k, labels[k], maxLabelValue)
	}
}

// reason takes a text that must be given: it is what others read when they wonder.
func (ps *problems) reason(field, text string) {
	if strings.TrimSpace(text) == "" {
		ps.add(field, "say why: others will read it")
	}
	ps.text(field, text, maxReason)
}

func (ps *problems) rate(field string, r fsm.Rate) {
	if r != (fsm.Rate{}) && (r.Count == 0 || r.Per < time.Second || r.Per > 24*time.Hour) {
		ps.add(field, "a number of leases from 1 in a time from 1s to 24h, e.g. 10/1m, not %d/%s", r.Count, fsm.FormatTTL(r.Per))
	}
}

func (ps *problems) sweep(field string, mode fsm.SweepMode) {
	switch mode {
	case "", fsm.SweepRemove, fsm.SweepReport, fsm.SweepOff:
	default:
		ps.add(field, "%q is none of %s, %s, %s", mode, fsm.SweepRemove, fsm.SweepReport, fsm.SweepOff)
	}
}

func (ps *problems) scope(s fsm.LockScope) {
	if s == (fsm.LockScope{}) {
		ps.add("scope", "say what is to be locked: an environment (or app/*, or *), an account, a secret, a connection or a label")
		return
	}
	if s.Environment != "" {
		ps.patterns("scope.environment", []fsm.Pattern{s.Environment})
	}
	if s.Label != "" && !(fsm.LockScope{Label: s.Label}).Valid() {
		ps.add("scope.label", "%q is no label: give key=value", s.Label)
	}
}

// shownStates are the words by which leases can be chosen.
var shownStates = []string{
	"pending", "active", "revoking", "revoked", "expired", "failed", "overdue", "stuck", "missing", "forgotten",
}

func (ps *problems) states(states []string) {
	for _, s := range states {
		if !slices.Contains(shownStates, s) {
			ps.add("state", "%q is none of %s", s, strings.Join(shownStates, ", "))
		}
	}
}

func checkLease(name string, ttl time.Duration, labels map[string]string) error {
	var ps problems
	ps.text("name", name, maxLeaseName)
	ps.ttl("ttl", ttl)
	ps.labels(labels)
	return ps.err()
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
