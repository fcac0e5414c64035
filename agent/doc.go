// Package agent writes leased values to where programs read them, files and Kubernetes Secrets, and keeps them good: it
// renews the leases, replaces them in time, writes what changed and has the readers told. It decides nothing about
// leases, which [client.Keeper] keeps, and never revokes what a program may be using because it itself ends.
//
// Two rules one could break it with: what is about to be written stands in the state before it is written, so that
// after a crash nobody takes old values for new ones; and values are in the targets and in memory, nowhere else.
package agent
