package x509

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"broker/providers"
)

// authorityYears is for how long an authority is good that the broker makes.
const authorityYears = 10

// authority is what signs.
type authority struct {
	certificate *x509.Certificate
	chain       []*x509.Certificate // the same, and those above it
	key         crypto.Signer
}

// newAuthority makes the certificate of an authority that signs itself.
func newAuthority(name string, key crypto.Signer, now time.Time) (certificate string, err error) {
	random := make([]byte, 20)
	if _, err := rand.Read(random); err != nil {
		return "", err
	}
	template := &x509.Certificate{
		SerialNumber: positive(random), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-backdate), NotAfter: now.AddDate(authorityYears, 0, 0),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return "", fmt.Errorf("making the authority's certificate: %w", err)
	}
	return encode("CERTIFICATE", der), nil
}

// readChain reads the certificates of an authority and of those above it.
func readChain(text string) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	rest := []byte(text)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("holds a %s: want certificates only", block.Type)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errors.New("holds a certificate that cannot be read")
		}
		if key, ok := certificate.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxRSABits { // before it is to have signed anything
			return nil, fmt.Errorf("holds a certificate that has an RSA key of more than %d bits", maxRSABits)
		}
		chain = append(chain, certificate)
	}
	switch {
	case len(chain) == 0:
		return nil, errors.New("holds no certificate in PEM form")
	case strings.TrimSpace(string(rest)) != "":
		return nil, errors.New("has something behind its last certificate that is none")
	case !chain[0].IsCA || !chain[0].BasicConstraintsValid:
		return nil, errors.New("is no authority: its first certificate is not marked as one (CA:TRUE)")
	case chain[0].KeyUsage&x509.KeyUsageCertSign == 0 || chain[0].KeyUsage&x509.KeyUsageCRLSign == 0:
		return nil, errors.New("may not sign: its key usage needs both keyCertSign and cRLSign")
	case len(chain[0].SubjectKeyId) == 0:
		return nil, errors.New("has no subject key identifier, by which its certificates and lists name it")
	}
	for i, above := range chain[1:] {
		if chain[i].CheckSignatureFrom(above) != nil {
			return nil, fmt.Errorf("is no chain: certificate %d is not signed by certificate %d", i+1, i+2)
		}
	}
	return chain, nil
}

// readAuthority reads the authority of a connection. Its errors are about one field, and hold nothing of the key.
func readAuthority(settings providers.Settings) (*authority, error) {
	chain, err := readChain(settings.String(fieldCertificate))
	if err != nil {
		return nil, providers.FieldError{Field: fieldCertificate, Message: err.Error()}
	}
	key, err := readKey(settings.String(fieldPrivateKey))
	if err != nil {
		return nil, providers.FieldError{Field: fieldPrivateKey, Message: err.Error()}
	}
	if !same(key.Public(), chain[0].PublicKey) {
		return nil, providers.FieldError{Field: fieldPrivateKey, Message: "is not the key of ca_certificate: give both, or neither, for the broker to make them"}
	}
	return &authority{chain[0], chain, key}, nil
}

// pem writes the chain.
func (a *authority) pem() string {
	var text strings.Builder
	for _, one := range a.chain {
		text.WriteString(encode("CERTIFICATE", one.Raw))
	}
	return text.String()
}

// fingerprint names the authority by its key: a renewed certificate of the same key is the same authority.
func (a *authority) fingerprint() providers.SystemID {
	sum := sha256.Sum256(a.certificate.RawSubjectPublicKeyInfo)
	return providers.SystemID("sha256:" + hex.EncodeToString(sum[:]))
}

// positive reads bytes as a number of at most 159 bits that is not zero.
func positive(bytes []byte) *big.Int {
	number := new(big.Int).SetBytes(bytes[:20])
	number.SetBit(number, 159, 0)
	if number.Sign() == 0 {
		return big.NewInt(1)
	}
	return number
}
