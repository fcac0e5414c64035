// Package ssh is the provider "ssh": user certificates for OpenSSH, signed by an authority whose key is sealed in the
// connection. No outside system is called: sshd trusts the authority's public key and a list of what was revoked, both of
// which the connection publishes.
//
// Two ways to break it: a certificate that is good beyond its lease's end, since nobody could take it back then, and a
// serial number that does not follow from the login's name alone, since the list of what was revoked is made from the
// names in the ledger.
package ssh
