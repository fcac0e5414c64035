// Package access says who makes a request and, later, what they may do. Today: tokens and whose they
// are. It knows nothing of HTTP; package api asks it.
//
// Two rules could break it: a token is never kept, only its keyed hash; and an unknown, an expired and
// a disabled token get the same answer.
package access
