package console

import (
	"maps"
	"slices"
)

// Paths returns the patterns of all pages, in order.
func (c *Console) Paths() []string { return slices.Sorted(maps.Keys(c.screens)) }
