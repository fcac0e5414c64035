//go:build level2

package fsm

// FeatureLevel is that of a next version which does not exist yet: tests build it with the tag level2, to
// show how a cluster is upgraded to it.
const FeatureLevel = 2

// typeProbe is the command that came with level 2. It does nothing but stand in the log.
const typeProbe CommandType = 59

// Probe is its body. Value: uint64, its index.
type Probe struct{}

func (*Probe) commandType() CommandType { return typeProbe }

var nextHandlers = map[CommandType]handler{
	typeProbe: since(2, on("probe", func(t *txn, _ *Probe) (uint64, *Refusal) { return t.meta.Index, nil }, nil)),
}
