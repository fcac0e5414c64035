// Package postgrestest runs a real PostgreSQL server for tests and scripts, from the binaries that
// the machine has, with data of its own that it removes.
//
// It is no part of the broker. The server is not durable (fsync is off) and logs every statement, so
// that tests can look for what must not be there.
package postgrestest
