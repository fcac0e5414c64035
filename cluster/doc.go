// Package cluster turns several processes into one log.
//
// It owns everything between nodes: the Raft log and its files, leadership,
// birth and joining, carrying a request to the leader, deciding how fresh a
// read is, and gossip. It knows nothing of leases: commands are bytes, the
// state machine, the work of the leader and the HTTP handler come in through
// [Config].
//
// A [Node] is made with [New], which opens nothing, and brought up with
// [Node.Start]. Between the two its owner may hand it to whoever needs to
// propose, so that the leader's work can refer to a node that does not run yet.
//
// Two rules one could break it with:
//
//   - A proposal whose outcome is unknown may still be committed. Only an error
//     with NotCommitted() == true says that it never will be.
//   - Work that belongs to the leader lives inside the context given to
//     [Config.Lead]. What outlives that context belongs to nobody.
package cluster
