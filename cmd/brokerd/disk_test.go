package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"broker/cluster"
)

func TestDiskWarnings(t *testing.T) {
	got := diskWarnings(cluster.Status{Members: []cluster.Member{
		{ID: "n1"}, {ID: "n2", Disk: []string{"this node's disk hangs", "only 3 MiB of 100 MiB are left"}},
	}})
	want := []string{"n2: this node's disk hangs", "n2: only 3 MiB of 100 MiB are left"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("warnings (-want +got):\n%s", d)
	}
}
