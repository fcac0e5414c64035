// Package access says who makes a request, by tokens and by the ways to sign in that end in one, and what they may do:
// roles, policies in Cedar, decisions and their explanations. It knows nothing of HTTP; package api asks it. See DESIGN.md.
//
// Rules that could break it: a token is never kept, only its keyed hash; an unknown, an expired and a disabled token get
// the same answer; what nothing allows is denied, and what cannot be judged is not allowed.
package access
