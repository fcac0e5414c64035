// Package chain knows the form of an audit log and verifies it: lines of JSON, each of which names the hash of the one
// before it. It needs no broker and no key, so that whoever has the files can.
//
// Two rules could break it: a hash is of a line's exact bytes, so nothing is ever written anew; and what cannot be
// read is a finding, never skipped.
package chain
