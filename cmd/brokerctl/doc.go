// Command brokerctl talks to a broker: a file per noun, one verb per command, the same words as in
// the API. It sees only the client and the wire types, never the server.
//
// Two rules: what a script reads goes to standard output and everything else to standard error, and
// no secret value is printed but those of a new lease.
package main
