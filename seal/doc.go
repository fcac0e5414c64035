// Package seal is encryption at rest: the keyring that every node of a cluster holds, and how it is
// kept. That is a key file per node with the same content, and a copy in the replicated state, wrapped for a
// key pair whose private half is split into shares and kept nowhere (Shamir's secret sharing). The sealing key is
// exchanged while everybody goes on; see DESIGN.md. Wrapping the keyring by a key management system takes the key
// file's place without touching those who seal and open.
//
// The sharing is a hundred lines of its own, tested against its definition: the libraries that have it bring a
// large module along (secrets managers, or collections of experimental cryptography) or are not kept any more.
//
// It refuses to know what is sealed. Two rules could break it: a sealed value is always bound to the
// record it belongs to, and no key is ever written anywhere but into a key file of mode 0600, or wrapped.
package seal
