package api

import (
	"maps"
	"slices"
)

// Codes lists every code that a problem can have.
func Codes() []string { return slices.Sorted(maps.Keys(statuses())) }
