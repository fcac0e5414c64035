// Package clienttest is a broker for tests of what keeps leases: it has no outside system, answers in the time of
// a test's clock, and can be away, refuse or lose answers. It refuses to decide anything that a broker decides by its
// configuration.
package clienttest
