// Package testserver runs a real server process for tests and scripts: on loopback, on free ports, in a directory of
// its own that it removes, as an unprivileged user when we are root, and never longer than the process that started it
// unless told so.
//
// What a server is called with and when it serves is said by the kit of that server, which wraps a [Server]. It is no
// part of the broker.
package testserver
