package main

import (
	"fmt"
	"time"

	"broker/cluster"
)

// clockWarnings says what somebody should know of the nodes' clocks.
func clockWarnings(s cluster.Status) (list []string) {
	if s.ClockError != nil {
		list = append(list, s.NodeID+": "+s.ClockError.Error()+"; it does not lead meanwhile")
	}
	for _, m := range s.Members {
		if m.Clock == nil || !m.Clock.Notable() {
			continue
		}
		side := "ahead of"
		if m.Clock.Offset < 0 {
			side = "behind"
		}
		list = append(list, fmt.Sprintf("the clock of node %s is %s %s that of node %s", m.ID, m.Clock.Offset.Abs().Round(time.Millisecond), side, s.NodeID))
	}
	return list
}
