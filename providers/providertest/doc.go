// Package providertest holds the contract that every provider keeps, as a test suite ([Run]), and
// [Fake], an outside system in memory whose ledger is exact and which fails on order.
//
// The suite runs against real outside systems; the fake passes it too, so that what is tested with
// it behaves like them. The fake is for faults that a real system cannot be brought to show at the
// right moment; whatever a real part can show is tested with the real part.
package providertest
