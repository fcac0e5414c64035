package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// certificateWarning is how long before its end a certificate is warned of.
const certificateWarning = 14 * 24 * time.Hour

// checkCertificate looks at a certificate and its key as files: that they can be read and belong together,
// that not everybody can read the key, that the certificate is valid now and for a while, for servers, and for
// every one of the names (host names or addresses).
func (r *report) checkCertificate(check, certFile, keyFile string, names []string, now time.Time) {
	info, err := os.Stat(keyFile)
	if err != nil {
		r.fail(check, "reading the key: %v", err)
		return
	}
	if info.Mode().Perm()&0o007 != 0 {
		r.fail(check, "everybody can read the key %s (mode %04o): run chmod o= on it", keyFile, info.Mode().Perm())
		return
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		r.fail(check, "%s and %s are no pair: %v", certFile, keyFile, err)
		return
	}
	cert := pair.Leaf
	if problem := certificateProblem(cert, now); problem != "" {
		r.fail(check, "%s %s", certFile, problem)
		return
	}
	var missing []string
	for _, name := range names {
		if cert.VerifyHostname(name) != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		r.warn(check, "%s is not valid for %s: whoever connects to that refuses it", certFile, strings.Join(missing, ", "))
		return
	}
	left := cert.NotAfter.Sub(now)
	if left < certificateWarning {
		r.warn(check, "%s ends at %s, in %s: renew it", certFile, cert.NotAfter.UTC().Format(time.RFC3339), left.Round(time.Hour))
		return
	}
	r.ok(check, "%s, until %s", certFile, cert.NotAfter.UTC().Format(time.RFC3339))
}

// certificateProblem says why a certificate is of no use; empty when it is.
func certificateProblem(cert *x509.Certificate, now time.Time) string {
	switch {
	case now.After(cert.NotAfter):
		return fmt.Sprintf("ended at %s: renew it", cert.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(cert.NotBefore):
		return fmt.Sprintf("is valid from %s on only: is this machine's clock right?", cert.NotBefore.UTC().Format(time.RFC3339))
	}
	server := len(cert.ExtKeyUsage) == 0 && len(cert.UnknownExtKeyUsage) == 0
	for _, usage := range cert.ExtKeyUsage {
		server = server || usage == x509.ExtKeyUsageServerAuth || usage == x509.ExtKeyUsageAny
	}
	if !server {
		return "is not for servers: have one made with the usage serverAuth"
	}
	return ""
}

// clientNames lists what clients are told to connect to.
func (c config) clientNames() []string {
	names := slices.Clone(c.APINames)
	if u, err := url.Parse(c.APIAdvertise); err == nil && u.Hostname() != "" && !slices.Contains(names, u.Hostname()) {
		names = append(names, u.Hostname())
	}
	return names
}
