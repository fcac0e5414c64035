// Package backup makes snapshots of a node's state and brings a cluster back from one.
//
// A snapshot file (package snapshot) holds a copy of the state (package fsm) as it is, with its sealed
// values sealed, and the keyring wrapped by a key that only the recovery shares make (package seal). This
// package joins the three. It refuses to know how a cluster is run: what it prepares is given to Raft by
// its caller. Two rules could break it: nothing is touched before a file was read to its end and found
// whole and made with the cluster's keyring, and whatever is restored makes no outside change until it is released.
package backup
