// Package api is the broker's HTTP interface: routes, handlers, and the one table that turns refusals
// into status codes. Every node serves all of it. A request passes one chain (see [Server.chain]):
// name it, log it, bound it, find out who asks, and then either carry it to the leader (a write) or
// wait until the local state is fresh enough (a read).
//
// The package declares what it needs of others (see [Broker], [State], [Cluster], [Authenticator],
// [Authorizer]) and starts no goroutine of its own. It refuses to hold state: no cache, no session; only open
// streams are counted, and share the newest events.
//
// Two rules one could break it with: no error, log line or validation message may echo a value that a
// client sent in a body, and a write is carried to the leader a second time only when the first try
// certainly changed nothing or the client sent an idempotency key.
package api
