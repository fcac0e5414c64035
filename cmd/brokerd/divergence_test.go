package main

import (
	"errors"
	"strings"
	"testing"

	"broker/cluster"
)

func TestStateWarnings(t *testing.T) {
	if got := stateWarnings(cluster.Status{NodeID: "n1"}); len(got) != 0 {
		t.Errorf("without reason: %q", got)
	}
	got := stateWarnings(cluster.Status{
		NodeID: "n2", StateError: errors.New("restart it"),
		Divergences: []cluster.Divergence{{Node: "n1", Index: 2048, Agreed: 1024, Mine: []byte{0xab, 1, 2, 3, 4, 5, 6}, Theirs: []byte{0xcd}, Wrong: "n2"}},
	})
	want := `n2: restart it; it neither leads nor answers reads meanwhile
node n2 made another state of the log than node n1: at index 2048 it has ab0102030405, the other cd; at index 1024 they were the same; most nodes differ from n2`
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}
