// Package redistest runs a real Redis server for tests and scripts, from the binary that the machine has, with data and
// users of its own that it removes.
//
// It is no part of the broker. The server has an administrator besides the root account that Prepare makes, so that a
// test can act behind the broker's back.
package redistest
