package x509

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"slices"
	"time"

	"broker/providers"
)

// backdate is by how much a certificate is good before it is made: clocks of servers differ.
const backdate = time.Minute

// serial is the serial number of a login's certificate. It follows from the name, so that a list of what was revoked can be
// made from names alone, and has 159 bits, which do not meet.
func serial(name providers.LoginName) *big.Int {
	sum := sha256.Sum256([]byte(name))
	return positive(sum[:])
}

// lastSecond is the last second in which a certificate is good: it is over by the lease's end.
func lastSecond(login providers.Login) time.Time {
	return login.ExpiresAt.UTC().Add(-time.Second).Truncate(time.Second)
}

// template is a login's certificate before it is signed.
func (b *backend) template(grant providers.Grant) (*x509.Certificate, error) {
	now := time.Now()
	made := &x509.Certificate{
		SerialNumber: serial(grant.Name), Subject: pkix.Name{CommonName: string(grant.Name)},
		NotBefore: now.Add(-backdate), NotAfter: lastSecond(grant.Login),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if !made.NotAfter.After(now) {
		return nil, fmt.Errorf("the lease ends within two seconds: certificates are good for whole ones")
	}
	for _, above := range b.authority.chain {
		if made.NotAfter.After(above.NotAfter) {
			return nil, fmt.Errorf("the lease ends at %s, and the authority %s itself at %s", made.NotAfter.Format(time.RFC3339), above.Subject, above.NotAfter.UTC().Format(time.RFC3339))
		}
	}
	for _, kind := range names {
		for _, template := range kind.templates(grant.Options) {
			name := grant.For.Middle(template)
			if wrong := kind.unfit(name); wrong != "" {
				return nil, fmt.Errorf("%s %q, which is %q, %s", kind.option, template, name, wrong)
			}
			if !allows(b.allowed, template, name) {
				return nil, fmt.Errorf("%s %q is not among the connection's allowed_names", kind.option, name)
			}
			kind.put(made, name)
		}
	}
	for _, usage := range grant.Options.List(optionUsages) {
		one := x509.ExtKeyUsageClientAuth
		if usage == usageServer {
			one = x509.ExtKeyUsageServerAuth
		}
		if !slices.Contains(made.ExtKeyUsage, one) {
			made.ExtKeyUsage = append(made.ExtKeyUsage, one)
		}
	}
	if b.listURL != "" {
		made.CRLDistributionPoints = []string{b.listURL}
	}
	return made, nil
}

// certify makes and signs the certificate of a login.
func (b *backend) certify(grant providers.Grant, key crypto.PublicKey) (*x509.Certificate, error) {
	template, err := b.template(grant)
	if err != nil {
		return nil, err
	}
	if same(key, b.authority.key.Public()) {
		return nil, fmt.Errorf("the key to certify is the authority's own")
	}
	if _, ok := key.(*rsa.PublicKey); ok {
		template.KeyUsage |= x509.KeyUsageKeyEncipherment // what TLS 1.2 clients of some age look for
	}
	der, err := x509.CreateCertificate(rand.Reader, template, b.authority.certificate, key, b.authority.key)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	return x509.ParseCertificate(der)
}
