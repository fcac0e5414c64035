// Package ldaptest runs a real OpenLDAP server for tests and scripts, from the binaries that the machine has, with a
// directory of its own that it removes.
//
// It is no part of the broker. The server is not durable and logs every operation, so that tests can look for what must
// not be there.
package ldaptest
