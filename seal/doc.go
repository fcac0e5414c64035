// Package seal is encryption at rest: the keyring that every node of a cluster holds, and how it is
// kept. Today that is a key file per node with the same content; wrapping the keyring by a key
// management system takes its place without touching those who seal and open.
//
// It refuses to know what is sealed. Two rules could break it: a sealed value is always bound to the
// record it belongs to, and no key is ever written anywhere but into a key file of mode 0600.
package seal
