package crashtest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/raft"

	"broker/fsm"
)

// entry is one committed entry of the log that all nodes share.
type entry struct {
	term uint64
	data []byte
	hash string // of the state after it, as the truth has it
}

// notCommitted is the answer that says that a command is not in the log and never will be.
type notCommitted struct{}

func (notCommitted) Error() string      { return "not the leader" }
func (notCommitted) NotCommitted() bool { return true }

var errUnknown = errors.New("leadership was lost while committing")

// nodeLog is the log as one incarnation of a node sees it.
type nodeLog struct{ inc *incarnation }

// Propose parks until the scheduler has decided the command's fate.
func (l nodeLog) Propose(ctx context.Context, data []byte) (any, uint64, error) {
	c, err := fsm.DecodeCommand(data)
	if err != nil {
		return nil, 0, err
	}
	if ctx.Err() != nil || l.inc.knowsEndOf(c.Term) {
		return nil, 0, notCommitted{}
	}
	w := l.inc.node.w
	p := &point{kind: propose, what: commandName(c.Type), inc: l.inc, data: data, command: c, ctx: ctx}
	if !w.park(p) {
		return nil, 0, errUnknown
	}
	return p.response, p.index, p.err
}

// commit appends a command proposed by inc, which is the leader of the log, and applies it to the truth
// and to the proposer.
func (w *world) commit(p *point) {
	w.append(p.data)
	p.index = uint64(len(w.log))
	inc := p.inc
	inc.catchUp(p.index - 1)
	p.response = inc.apply(p.index)
	w.check.committed(p)
}

// append puts a command into the log and applies it to the truth.
func (w *world) append(data []byte) *fsm.Result {
	w.log = append(w.log, entry{term: w.term, data: data})
	index := uint64(len(w.log))
	result := w.truth.Apply(w.raftLog(index))
	w.log[index-1].hash = string(metaOf(w.truth).Hash)
	r, _ := result.(*fsm.Result)
	return r
}

func (w *world) raftLog(index uint64) *raft.Log {
	e := w.log[index-1]
	return &raft.Log{Index: index, Term: e.term, Type: raft.LogCommand, Data: e.data}
}

// catchUp applies entries up to index to the node's own state.
func (inc *incarnation) catchUp(index uint64) {
	if inc.applied >= index {
		return
	}
	var batch []*raft.Log
	for i := inc.applied + 1; i <= index; i++ {
		batch = append(batch, inc.node.w.raftLog(i))
	}
	inc.state.ApplyBatch(batch)
	inc.applied = index
}

func (inc *incarnation) apply(index uint64) any {
	response := inc.state.Apply(inc.node.w.raftLog(index))
	inc.applied = index
	return response
}

func metaOf(s *fsm.State) (m fsm.Meta) {
	must(s.View(func(v *fsm.View) error { m = v.Meta(); return nil }))
	return m
}

var commandNames = map[fsm.CommandType]string{
	fsm.TypePrepareLease: "prepare", fsm.TypeActivateLease: "activate", fsm.TypeRenewLease: "renew",
	fsm.TypeBeginRevoke: "begin revoke", fsm.TypeExpireLeases: "expire", fsm.TypeRollbackLeases: "roll back",
	fsm.TypeFinishRevoke: "finish revoke", fsm.TypeRecordTrouble: "record trouble", fsm.TypePrune: "prune",
	fsm.TypeRecordSweep: "record sweep", fsm.TypeAdvanceClock: "advance clock", fsm.TypeAdoptOrphans: "adopt orphans",
	fsm.TypeCreateOperation: "create operation", fsm.TypeAdvanceOperation: "advance operation", fsm.TypeFinishOperation: "finish operation", fsm.TypeCancelOperation: "cancel operation",
	fsm.TypeRetryLease: "retry", fsm.TypeForgetLease: "forget", fsm.TypePauseConnection: "pause",
	fsm.TypeCreateLock: "lock", fsm.TypeDeleteLock: "unlock", fsm.TypeUpdateAccount: "update account",
}

func commandName(t fsm.CommandType) string {
	if name, ok := commandNames[t]; ok {
		return name
	}
	return fmt.Sprintf("command %d", t)
}

// leasesOf names the leases that a command is about, for traces and for the order of points.
func leasesOf(w *world, c fsm.Command) string {
	var names []string
	text := string(c.Body)
	for id, name := range w.names {
		if strings.Contains(text, string(id)) {
			names = append(names, name)
		}
	}
	return joinSorted(names)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
