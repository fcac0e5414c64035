package x509

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

const (
	rsaBits    = 3072
	minRSABits = 2048
	maxRSABits = 8192 // as TLS takes at most: the work for one signature grows faster than with the square of them

	// longestBlock is how long a key or request may be: reading one is work that grows faster than with its square.
	longestBlock = 16 << 10
)

// newKey makes a private key of a type.
func newKey(kind string) (crypto.Signer, error) {
	switch kind {
	case keyEd25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case keyRSA:
		return rsa.GenerateKey(rand.Reader, rsaBits)
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// encodeKey writes a private key as PKCS #8.
func encodeKey(key crypto.Signer) (string, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", fmt.Errorf("encoding a private key: %w", err)
	}
	return encode("PRIVATE KEY", der), nil
}

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// readKey reads a private key in any of the forms that openssl writes. Its errors hold nothing of it.
func readKey(text string) (crypto.Signer, error) {
	block, err := onlyBlock(text)
	if err != nil {
		return nil, err
	}
	var key any
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("is protected by a passphrase: give it without, the broker seals it itself")
	default:
		return nil, errors.New("is no private key in PEM form")
	}
	signer, ok := key.(crypto.Signer)
	if err != nil || !ok || block.Headers["DEK-Info"] != "" {
		return nil, errors.New("is no private key that can be read, or is protected by a passphrase")
	}
	if wrong := unfit(signer.Public()); wrong != "" {
		return nil, errors.New(wrong)
	}
	return signer, nil
}

// readRequest reads a certificate signing request, whose signature proves that its sender has the key.
func readRequest(text string) (crypto.PublicKey, error) {
	block, err := onlyBlock(text)
	if err != nil {
		return nil, err
	}
	if block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST" {
		return nil, errors.New("is no certificate signing request in PEM form")
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, errors.New("is no certificate signing request that can be read")
	}
	// Before its signature: of a key without bound that would take a processor for as long as its sender likes.
	if wrong := unfit(request.PublicKey); wrong != "" {
		return nil, errors.New(wrong)
	}
	if request.CheckSignature() != nil {
		return nil, errors.New("has a signature that is wrong, or of a kind that is not known")
	}
	return request.PublicKey, nil
}

// onlyBlock returns the one PEM block of a text. openssl writes parameters of a curve before its keys.
func onlyBlock(text string) (*pem.Block, error) {
	block, rest := pem.Decode([]byte(text))
	if block != nil && block.Type == "EC PARAMETERS" {
		block, rest = pem.Decode(rest)
	}
	if block == nil {
		return nil, errors.New("is not in PEM form")
	}
	if len(block.Bytes) > longestBlock {
		return nil, fmt.Errorf("has more than %d bytes", longestBlock)
	}
	if strings.TrimSpace(string(rest)) != "" {
		return nil, errors.New("holds more than one thing")
	}
	return block, nil
}

// unfit says why a public key is neither to sign with nor to be certified, or "".
func unfit(key crypto.PublicKey) string {
	switch key := key.(type) {
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return ""
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return fmt.Sprintf("has an RSA key of less than %d bits or more than %d", minRSABits, maxRSABits)
		}
		return ""
	}
	return "has a key that is neither ECDSA nor Ed25519 nor RSA"
}

// same reports whether two public keys are one.
func same(a, b crypto.PublicKey) bool {
	comparable, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && comparable.Equal(b)
}
