package trust

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"
)

// Certificate is what the node shows to other nodes, with the authorities behind it.
func (id *Identity) Certificate() *tls.Certificate {
	id.mu.RLock()
	defer id.mu.RUnlock()
	c := id.presents
	return &c
}

// Verify returns which node of this cluster a certificate belongs to. It returns errors wrapping
// ErrStranger, ErrForeign or ErrRemoved.
func (id *Identity) Verify(leaf *x509.Certificate, now time.Time) (nodeID string, err error) {
	id.mu.RLock()
	defer id.mu.RUnlock()
	clusterID, nodeID, err := owner(leaf)
	if err != nil {
		return "", err
	}
	if clusterID != id.content.ClusterID {
		return "", fmt.Errorf("%w: %s, not %s", ErrForeign, clusterID, id.content.ClusterID)
	}
	key := hashOf(leaf)
	for _, removed := range id.content.Known.Removed {
		if removed.Key == key {
			return "", fmt.Errorf("%w: %s", ErrRemoved, nodeID)
		}
	}
	for _, member := range id.content.Known.Members {
		if member.Key == key {
			if member.NodeID != nodeID {
				return "", fmt.Errorf("%w: it names node %s, its key is that of %s", ErrStranger, nodeID, member.NodeID)
			}
			return nodeID, nil // whatever the date: see the package's comment
		}
	}
	// Perhaps a node that was let in while this one was away.
	if _, err := leaf.Verify(x509.VerifyOptions{
		Roots: id.pool, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}); err != nil {
		return "", fmt.Errorf("%w: %w", ErrStranger, err)
	}
	return nodeID, nil
}

// VerifyPinned returns which cluster and node a chain of certificates belongs to whose authority is known by
// its fingerprint only: how a node that is about to join knows whom it talks to.
func VerifyPinned(chain []*x509.Certificate, authority Fingerprint, now time.Time) (clusterID, nodeID string, err error) {
	if err := verifyPinned(chain, authority, now, x509.ExtKeyUsageServerAuth); err != nil {
		return "", "", err
	}
	return owner(chain[0])
}

func verifyPinned(chain []*x509.Certificate, authority Fingerprint, now time.Time, usage x509.ExtKeyUsage) error {
	roots, others := x509.NewCertPool(), x509.NewCertPool()
	found := false
	for i, certificate := range chain {
		switch {
		case i == 0:
		case FingerprintOf(certificate.Raw) == authority:
			roots.AddCert(certificate)
			found = true
		default:
			others.AddCert(certificate)
		}
	}
	if !found {
		return fmt.Errorf("%w: it does not belong to the authority with fingerprint %s", ErrStranger, authority)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: others, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
		return fmt.Errorf("%w: %w", ErrStranger, err)
	}
	return nil
}

// APICertificate is what the node's API shows to clients: with the authorities, so that a client can
// recognise one by its fingerprint.
func (id *Identity) APICertificate() (*tls.Certificate, error) {
	id.mu.RLock()
	defer id.mu.RUnlock()
	if len(id.content.APICertificate) == 0 {
		return nil, fmt.Errorf("this node has no certificate for its API yet")
	}
	chain := append([][]byte{id.content.APICertificate}, id.content.Known.Adopted...)
	return &tls.Certificate{Certificate: append(chain, id.content.Known.Authorities...), PrivateKey: id.key}, nil
}
