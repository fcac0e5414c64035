// Package apitest runs the API in memory for tests: the real state machine and broker over a log of
// one process, an outside system that is a fake, and a cluster whose leadership a test decides.
package apitest
