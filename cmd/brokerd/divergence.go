package main

import (
	"broker/cluster"
	"broker/fsm"
)

// checkpoints tells the cluster what to compare nodes by.
func checkpoints(state *fsm.State) func() []cluster.Checkpoint {
	return func() []cluster.Checkpoint {
		passed := state.Checkpoints()
		list := make([]cluster.Checkpoint, 0, len(passed))
		for _, one := range passed {
			list = append(list, cluster.Checkpoint(one))
		}
		return list
	}
}

// stateWarnings says which nodes made different states of the same log.
func stateWarnings(s cluster.Status) (list []string) {
	if s.StateError != nil {
		list = append(list, s.NodeID+": "+s.StateError.Error()+"; it neither leads nor answers reads meanwhile")
	}
	for _, d := range s.Divergences {
		list = append(list, "node "+s.NodeID+" "+d.String())
	}
	return list
}
