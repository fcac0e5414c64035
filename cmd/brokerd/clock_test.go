package main

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"broker/cluster"
)

func TestClockWarnings(t *testing.T) {
	offset := func(o, inexact time.Duration) *cluster.ClockOffset {
		return &cluster.ClockOffset{Offset: o, Error: inexact}
	}
	const ms = time.Millisecond
	got := clockWarnings(cluster.Status{NodeID: "n1", ClockError: errors.New("this node's clock is wrong"), Members: []cluster.Member{
		{ID: "n1", Self: true},
		{ID: "n2", Clock: offset(99*ms, 0)},
		{ID: "n3", Clock: offset(150*ms, 60*ms)}, // perhaps less
		{ID: "n4", Clock: offset(101*ms, ms)},
		{ID: "n5", Clock: offset(-time.Hour, ms)},
	}})
	want := []string{
		"n1: this node's clock is wrong; it does not lead meanwhile",
		"the clock of node n4 is 101ms ahead of that of node n1",
		"the clock of node n5 is 1h0m0s behind that of node n1",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("warnings (-want +got):\n%s", d)
	}
}
