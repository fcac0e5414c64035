package main

import "broker/cluster"

// diskWarnings says what somebody should know of the nodes' disks.
func diskWarnings(s cluster.Status) (list []string) {
	for _, m := range s.Members {
		for _, says := range m.Disk {
			list = append(list, m.ID+": "+says)
		}
	}
	return list
}
