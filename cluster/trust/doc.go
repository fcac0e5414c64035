// Package trust is who belongs to a cluster: its certificate authorities, the nodes' keys and
// certificates, the tokens that let a new node in, and what of it a node keeps on its disk.
//
// Between members the public key recorded when a node was let in decides, so certificates may run out
// while everything is switched off. A certificate of an authority counts for nodes that this one has not
// heard of yet.
//
// It refuses to know how any of it is agreed upon: the replicated state is told to it by whoever has it.
// Two rules could break it: a private key leaves this package for a file of mode 0600 or a sealed field and
// nothing else, and a key that was removed is never believed again, whatever certificate it shows.
package trust
