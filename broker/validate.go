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
