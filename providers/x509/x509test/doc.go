// Package x509test runs a TLS server for tests that lets in who shows a certificate of an authority that it trusts and
// that the authority's list of revoked certificates does not name.
package x509test
