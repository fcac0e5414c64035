// Package snapshot is the format of snapshot files: what a node writes, what the command line reads
// without a server, and what a bare machine is restored from.
//
// A file says in clear what it is of, then holds a copy of the replicated state as it is, and ends with a
// checksum over all of it:
//
//	"broker-snapshot\n"
//	length of the header, 4 bytes; the header, JSON
//	pieces of the content: length, 4 bytes; so many bytes
//	a piece of length 0
//	the proof of who made it, 32 bytes: see [Prover]
//	SHA-256 of everything before, 32 bytes
//
// The checksum finds damage, and anybody can make it. Only the keyring of the cluster makes and checks the proof.
//
// It refuses to know what the content means, and any key. Two rules could break it: the header of every later format
// must be readable as JSON with the member "format", so that an old program can say that a file is newer;
// and nothing may act on a content before [Verify] has read the file to its end.
package snapshot
