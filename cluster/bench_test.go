package cluster_test

import (
	"testing"

	"broker/cluster"
	"broker/cluster/clustertest"
)

// BenchmarkPropose proposes from many goroutines at a leader of three nodes
// that write to disk.
func BenchmarkPropose(b *testing.B) {
	c := clustertest.New(b, 3, &clustertest.Options{Configure: func(_ *clustertest.Node, cfg *cluster.Config) {
		cfg.UnsafeNoSync = false
		cfg.Timing = cluster.LAN()
	}})
	leader := c.WaitLeader().Live()
	cmd := make([]byte, 500)
	b.SetParallelism(128)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, _, err := leader.Propose(b.Context(), cmd); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkReadIndex reads linearizably from many goroutines at a follower.
func BenchmarkReadIndex(b *testing.B) {
	c := clustertest.New(b, 3)
	follower := c.Followers(c.WaitLeader())[0].Live()
	b.SetParallelism(128)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			index, err := follower.ReadIndex(b.Context())
			if err == nil {
				err = follower.WaitApplied(b.Context(), index)
			}
			if err != nil {
				b.Error(err)
			}
		}
	})
}
