// Package access says who makes a request: by tokens, and by the ways to sign in that end in one; and what they may
// do. It knows nothing of HTTP; package api asks it.
//
// Two rules could break it: a token is never kept, only its keyed hash; and an unknown, an expired and
// a disabled token get the same answer.
package access
