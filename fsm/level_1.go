//go:build !level2

package fsm

// FeatureLevel is the highest feature level that this version reads. A new cluster begins at it.
const FeatureLevel = 1

// nextHandlers are those of the level that tests play with; see level_2.go.
var nextHandlers map[CommandType]handler
