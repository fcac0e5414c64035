package ssh

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"

	"broker/providers"
)

// backdate is by how much a certificate is good before it is made: clocks of hosts differ.
const backdate = time.Minute

// serial is the serial number of a login's certificate. It follows from the name, so that a list of what was revoked can be
// made from names alone, and has 63 bits, which do not meet.
func serial(name providers.LoginName) uint64 {
	sum := sha256.Sum256([]byte(name))
	return max(binary.BigEndian.Uint64(sum[:8])>>1, 1) // zero means that there is none
}

// validUntil is the first second at which a certificate is no longer good: never after the lease's end.
func validUntil(login providers.Login) time.Time { return login.ExpiresAt.UTC().Truncate(time.Second) }

// certify makes and signs the certificate of a login.
func (b *backend) certify(grant providers.Grant, key ssh.PublicKey) (*ssh.Certificate, error) {
	names, err := b.principals(grant)
	if err != nil {
		return nil, err
	}
	now, end := time.Now(), validUntil(grant.Login)
	if !end.After(now) {
		return nil, fmt.Errorf("the lease ends within the second: certificates are good for whole ones")
	}
	if same(key, b.authority.PublicKey()) {
		return nil, fmt.Errorf("the key to certify is the authority's own")
	}
	certificate := &ssh.Certificate{
		CertType: ssh.UserCert, Key: key, KeyId: string(grant.Name), Serial: serial(grant.Name), ValidPrincipals: names,
		ValidAfter: uint64(now.Add(-backdate).Unix()), ValidBefore: uint64(end.Unix()),
		Permissions: permissions(grant.Options),
	}
	if err := certificate.SignCert(rand.Reader, b.authority); err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	return certificate, nil
}
