// Package deptest holds the rules of who may import whom in this module, and checks them.
//
// Rules speak of what is built; what only test files import is free. What of ours a package reaches
// counts through every package between, what of others' only where its own files name it. Every package of the module stands under exactly one rule, so that a new one
// has to be given its place. Two ways to break it: allowing more than the design does because a
// build wants it, and matching by a prefix that is no path ("broker/fsm" is not "broker/fsmtools").
package deptest
