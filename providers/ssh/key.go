package ssh

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

const (
	rsaBits    = 3072
	minRSABits = 2048 // of keys that are given; many hosts refuse less

	// longestKey is how long a private key may be: reading one is work that grows faster than with its square.
	longestKey = 24 << 10
)

// newKey makes a private key of a type.
func newKey(kind string) (crypto.Signer, error) {
	switch kind {
	case keyECDSA:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case keyRSA:
		return rsa.GenerateKey(rand.Reader, rsaBits)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return key, err
}

// encodeKey writes a private key as OpenSSH does.
func encodeKey(key crypto.Signer, comment string) (string, error) {
	block, err := ssh.MarshalPrivateKey(key, comment)
	if err != nil {
		return "", fmt.Errorf("encoding a private key: %w", err)
	}
	return string(pem.EncodeToMemory(block)), nil
}

// readAuthority reads an authority's private key. Its errors hold nothing of it.
func readAuthority(text string) (ssh.Signer, error) {
	if len(text) > longestKey {
		return nil, fmt.Errorf("has more than %d bytes", longestKey)
	}
	signer, err := ssh.ParsePrivateKey([]byte(text))
	var protected *ssh.PassphraseMissingError
	switch {
	case errors.As(err, &protected):
		return nil, errors.New("is protected by a passphrase: remove it from a copy with ssh-keygen -p -N ''; the broker seals the key itself")
	case err != nil:
		return nil, errors.New("is no private key as OpenSSH writes it")
	}
	if wrong := unfit(signer.PublicKey()); wrong != "" {
		return nil, errors.New(wrong)
	}
	return signer, nil
}

// readPublicKey reads a public key as in a .pub file, one line with or without a comment.
func readPublicKey(text string) (ssh.PublicKey, error) {
	key, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(text))
	switch {
	case err != nil:
		return nil, errors.New("is no public key as in id_ed25519.pub")
	case len(options) > 0:
		return nil, errors.New("has options before it: give the line of a .pub file")
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, errors.New("is more than one line")
	}
	if wrong := unfit(key); wrong != "" {
		return nil, errors.New(wrong)
	}
	return key, nil
}

// unfit says why a key is neither to sign with nor to be certified, or "".
func unfit(key ssh.PublicKey) string {
	switch key.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoSKECDSA256:
		return ""
	case ssh.KeyAlgoRSA:
		if open, ok := key.(ssh.CryptoPublicKey); ok {
			if public, ok := open.CryptoPublicKey().(*rsa.PublicKey); ok && public.N.BitLen() >= minRSABits {
				return ""
			}
		}
		return fmt.Sprintf("is an RSA key of less than %d bits", minRSABits)
	}
	return fmt.Sprintf("is of type %s: want ed25519, ecdsa or rsa", key.Type())
}

// line writes a public key or certificate as in a .pub file, without a line break.
func line(key ssh.PublicKey) string {
	return strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(key)), "\n")
}

func same(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }
