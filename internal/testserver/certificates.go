package testserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// Certificates are an authority and a server's certificate signed by it, in PEM, good for an hour.
type Certificates struct {
	Authority, Certificate, Key string
}

// NewCertificates makes a server certificate for the host names and addresses.
func NewCertificates(hosts ...string) (Certificates, error) {
	made, err := newCertificates(hosts)
	if err != nil {
		return Certificates{}, fmt.Errorf("making certificates: %w", err)
	}
	return made, nil
}

func newCertificates(hosts []string) (Certificates, error) {
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Certificates{}, err
	}
	serverKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Certificates{}, err
	}
	now := time.Now()
	issuer := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	subject := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "test server"}, NotBefore: issuer.NotBefore, NotAfter: issuer.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if address := net.ParseIP(host); address != nil {
			subject.IPAddresses = append(subject.IPAddresses, address)
		} else {
			subject.DNSNames = append(subject.DNSNames, host)
		}
	}
	authority, err := x509.CreateCertificate(rand.Reader, issuer, issuer, authorityKey.Public(), authorityKey)
	if err != nil {
		return Certificates{}, err
	}
	certificate, err := x509.CreateCertificate(rand.Reader, subject, issuer, serverKey.Public(), authorityKey)
	if err != nil {
		return Certificates{}, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(serverKey)
	if err != nil {
		return Certificates{}, err
	}
	text := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return Certificates{text("CERTIFICATE", authority), text("CERTIFICATE", certificate), text("PRIVATE KEY", key)}, nil
}
