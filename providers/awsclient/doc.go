// Package awsclient is how the providers for AWS reach it: the connection's fields, whose credentials sign, through
// which dialer and against which clock, what an error means, and how the root credential is exchanged.
//
// It is no provider, and makes no login. Two rules one could break it with: nothing but [Client.Prove] decides which
// account a connection leads to, and every call that makes something for a lease is signed by [Client.Until], so that
// AWS itself refuses it after the deadline.
package awsclient
