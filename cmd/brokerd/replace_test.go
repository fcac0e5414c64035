package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// What becomes of members while a snapshot is prepared to replace the state is not undone by it.
func TestReplacingUndoesNoRemoval(t *testing.T) {
	n := mustNode(t, loneConfig(t, filepath.Join(t.TempDir(), "data")))
	defer n.stop()
	belongs, err := n.belonging()
	must(t, err)
	sealed, err := trustMaker{n}.NextGossipKey()
	must(t, err)
	poll(t, "a change of whom the nodes believe", func() bool {
		_, err = n.broker.RotateGossipKey(t.Context(), n.request(), sealed)
		return err == nil
	})
	before := n.state.Index()
	next := &replacement{index: 1_000_000_000, content: strings.NewReader("never read"), belongs: belongs, done: make(chan error, 1)}
	n.replacement.Store(next)
	must(t, n.broker.Suspend())
	if err := <-next.done; err == nil || !strings.Contains(err.Error(), "has changed meanwhile") {
		t.Errorf("the state was replaced: %v", err)
	}
	poll(t, "the node leads on", func() bool {
		_, err := n.broker.RotateGossipKey(t.Context(), n.request(), sealed)
		return err == nil
	})
	if now := n.state.Index(); now <= before || now >= next.index {
		t.Errorf("the log goes on at %d, and was at %d", now, before)
	}
}
