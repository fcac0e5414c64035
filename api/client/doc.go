// Package client talks to a broker over its HTTP API. It takes the addresses of any nodes, tries one
// after the other, and repeats what is safe to repeat until the call's deadline: reads, what certainly
// never arrived, and POSTs, which it gives an idempotency key by itself.
//
// There is one method per route. Every answer that is not a success is an error that holds a
// [types.Problem] (errors.As); nodes that cannot be reached are an [UnreachableError].
//
// [Client.Keep] is for programs that live on leased values: it holds a lease, renews it, and replaces it before its longest
// life ends.
//
// Two rules: a repeated POST always carries the key of its first try, and no error ever holds the token.
package client
