// Package broker is what the leader does with the log: it issues, renews, revokes and expires leases,
// recovers what earlier leaders left, and keeps the configuration that leases need.
//
// It owns the order of steps. It refuses to know how the log is replicated (see Log), how requests
// arrive, and what is special about an outside system (see package providers). Everything it holds in
// memory belongs to one leadership period and ends with it; whatever must survive is in the log.
//
// Two rules could break it. Ledger first, world second: no call that changes an outside system without
// a committed command that authorises it. And unknown is never success: an outcome that is not known,
// of a command or of a call, is found out or tried again, by reading the ledger, never by guessing.
package broker
