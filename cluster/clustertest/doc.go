// Package clustertest runs whole clusters inside a test: real nodes with real
// logs on loopback, whose connections can be cut and mended.
//
//	c := clustertest.New(t, 3)
//	old := c.Leader()
//	c.Isolate(old)
//	c.Leader().MustPropose([]byte("x"))
//	c.Heal()
//
// A test that brings its own state machine, leader's work or handler passes
// Options with Configure. Everything is stopped when the test ends.
package clustertest
