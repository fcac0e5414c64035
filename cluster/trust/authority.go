package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"strings"
	"time"
)

const (
	// authorityTTL is how long an authority signs; clients of the API verify against it.
	authorityTTL = 20 * 365 * 24 * time.Hour
	// certificateTTL is how long what it signs is valid.
	certificateTTL = 90 * 24 * time.Hour
	// skew is how far a clock may be behind the one that signed.
	skew = time.Hour
)

// An Authority signs the certificates of a cluster.
type Authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// NewAuthority makes a cluster's certificate authority. Besides leaf certificates it signs those of the next ones, see
// Adopt.
func NewAuthority(clusterID string, now time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the authority's key: %w", err)
	}
	template := &x509.Certificate{
		// The number tells authorities of one cluster apart, whose names would be equal otherwise.
		Subject:               pkix.Name{CommonName: "broker cluster " + clusterID, SerialNumber: now.UTC().Format("20060102T150405Z-") + rand.Text()[:8]},
		NotBefore:             now.Add(-skew),
		NotAfter:              now.Add(authorityTTL),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	certificate, err := sign(template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("making the authority's certificate: %w", err)
	}
	return &Authority{certificate: certificate, key: key}, nil
}

// OpenAuthority returns the authority with this certificate (DER) and private key (PKCS #8).
func OpenAuthority(certificate, key []byte) (*Authority, error) {
	parsed, err := x509.ParseCertificate(certificate)
	if err != nil {
		return nil, fmt.Errorf("reading the authority's certificate: %w", err)
	}
	private, err := x509.ParsePKCS8PrivateKey(key)
	if err != nil {
		return nil, errors.New("reading the authority's key: it is damaged") // the reason could quote it
	}
	signer, ok := private.(*ecdsa.PrivateKey)
	if !ok || !signer.PublicKey.Equal(parsed.PublicKey) {
		return nil, errors.New("reading the authority's key: it does not belong to the certificate")
	}
	return &Authority{certificate: parsed, key: signer}, nil
}

// Certificate returns the authority's own certificate, DER.
func (a *Authority) Certificate() []byte { return a.certificate.Raw }

// Key returns the private key, PKCS #8, to be sealed.
func (a *Authority) Key() ([]byte, error) { return x509.MarshalPKCS8PrivateKey(a.key) }

// SignNode certifies the public key of a node, for connections between nodes in both directions.
func (a *Authority) SignNode(key crypto.PublicKey, clusterID, nodeID string, now time.Time) ([]byte, error) {
	return a.leaf(&x509.Certificate{
		Subject:     pkix.Name{CommonName: nodeID},
		URIs:        []*url.URL{nodeURI(clusterID, nodeID)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, key, now)
}

// SignAPI certifies the public key of a node's API for names that clients connect to: host names and
// addresses. Such a certificate is no use between nodes.
func (a *Authority) SignAPI(key crypto.PublicKey, names []string, now time.Time) ([]byte, error) {
	if len(names) == 0 {
		return nil, errors.New("signing a certificate of the API: it needs a name")
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: names[0]},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	return a.leaf(template, key, now)
}

// Adopt certifies another authority, so that who trusts only this one believes what the other signs.
func (a *Authority) Adopt(next *Authority) ([]byte, error) {
	template := *next.certificate
	template.AuthorityKeyId, template.Signature, template.SignatureAlgorithm = nil, nil, x509.UnknownSignatureAlgorithm
	if template.NotAfter.After(a.certificate.NotAfter) {
		template.NotAfter = a.certificate.NotAfter
	}
	certificate, err := sign(&template, a.certificate, next.key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("certifying the next authority: %w", err)
	}
	return certificate.Raw, nil
}

func (a *Authority) leaf(template *x509.Certificate, key crypto.PublicKey, now time.Time) ([]byte, error) {
	template.NotBefore, template.NotAfter = now.Add(-skew), now.Add(certificateTTL)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.BasicConstraintsValid = true
	certificate, err := sign(template, a.certificate, key, a.key)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate: %w", err)
	}
	return certificate.Raw, nil
}

func sign(template, parent *x509.Certificate, key crypto.PublicKey, signer crypto.Signer) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// nodeURI is what a node's certificate says of its owner.
func nodeURI(clusterID, nodeID string) *url.URL {
	return &url.URL{Scheme: "broker", Host: clusterID, Path: "/node/" + nodeID}
}

// owner reads the certificate of a node. ErrStranger when it is not made for nodes.
func owner(leaf *x509.Certificate) (clusterID, nodeID string, err error) {
	if len(leaf.URIs) != 1 || leaf.URIs[0].Scheme != "broker" || leaf.IsCA {
		return "", "", ErrStranger
	}
	nodeID, ok := strings.CutPrefix(leaf.URIs[0].Path, "/node/")
	if !ok || nodeID == "" || leaf.URIs[0].Host == "" {
		return "", "", ErrStranger
	}
	return leaf.URIs[0].Host, nodeID, nil
}

// Fingerprint is the SHA-256 of a certificate, by which people and join tokens know an authority.
type Fingerprint [sha256.Size]byte

// FingerprintOf returns the fingerprint of a certificate, DER.
func FingerprintOf(certificate []byte) Fingerprint { return sha256.Sum256(certificate) }

// String writes it as sha256:HEX.
func (f Fingerprint) String() string { return "sha256:" + hex.EncodeToString(f[:]) }

// KeyHash is the SHA-256 of a public key (SubjectPublicKeyInfo, DER): by it members know each other.
type KeyHash [sha256.Size]byte

// MarshalText writes it in hexadecimal digits.
func (h KeyHash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText reads what MarshalText wrote.
func (h *KeyHash) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(text))
	if err != nil || len(raw) != len(h) {
		return errors.New("a key's hash is 64 hexadecimal digits")
	}
	copy(h[:], raw)
	return nil
}

// HashKey returns the hash of a public key.
func HashKey(key crypto.PublicKey) (KeyHash, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return KeyHash{}, fmt.Errorf("encoding a public key: %w", err)
	}
	return sha256.Sum256(der), nil
}

func hashOf(leaf *x509.Certificate) KeyHash { return sha256.Sum256(leaf.RawSubjectPublicKeyInfo) }
