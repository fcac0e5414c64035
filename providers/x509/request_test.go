package x509_test

import (
	"crypto/rand"
	"crypto/rsa"
	stdx509 "crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"

	"broker/providers"
	"broker/providers/x509"
)

// The key of a signing request is judged before its signature: a long one would keep a processor busy for as
// long as its sender likes.
func TestRequestOfAHugeKey(t *testing.T) {
	const bits = 1 << 15
	modulus := make([]byte, bits/8)
	if _, err := rand.Read(modulus); err != nil {
		t.Fatal(err)
	}
	modulus[0] |= 0x80
	modulus[len(modulus)-1] |= 1
	encode := func(value any) []byte {
		t.Helper()
		der, err := asn1.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	sequence := func(parts ...[]byte) []byte {
		var all []byte
		for _, part := range parts {
			all = append(all, part...)
		}
		return encode(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: all})
	}
	public, err := stdx509.MarshalPKIXPublicKey(&rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: 65537})
	if err != nil {
		t.Fatal(err)
	}
	modulus[0] = 0 // as a signature it is below the modulus
	sha256WithRSA := sequence(encode(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}), encode(asn1.NullRawValue))
	request := sequence(sequence(encode(0), sequence(), public, []byte{0xa0, 0}), sha256WithRSA, encode(asn1.BitString{Bytes: modulus, BitLength: bits}))
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request}))
	problems := x509.Provider{}.CheckParameters(providers.Parameters{"csr": text})
	if len(problems) != 1 || !strings.Contains(problems[0].Message, "more than 8192") {
		t.Errorf("a key of 32768 bits: %v", problems)
	}
}

// Whatever is too long is not read at all.
func TestLongKeys(t *testing.T) {
	long := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: make([]byte, 16<<10+1)}))
	if problems := (x509.Provider{}).CheckParameters(providers.Parameters{"csr": long}); len(problems) != 1 || !strings.Contains(problems[0].Message, "more than 16384 bytes") {
		t.Errorf("as a request: %v", problems)
	}
	settings := complete(t, nil)
	settings["ca_private_key"] = long
	if _, err := (x509.Provider{}).Complete(settings); err == nil || !strings.Contains(err.Error(), "more than 16384 bytes") {
		t.Errorf("as an authority's key: %v", err)
	}
}
