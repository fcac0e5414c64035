// Package x509 is the provider "x509": TLS client certificates, signed by an authority whose key is sealed in the
// connection. No outside system is called: servers trust the authority's certificate and a list of what was revoked, both
// of which the connection publishes.
//
// Two ways to break it: a certificate that is good beyond its lease's end, since nobody could take it back then, and a
// serial number that does not follow from the login's name alone, since the list of what was revoked is made from the
// names in the ledger.
package x509
