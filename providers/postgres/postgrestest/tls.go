package postgrestest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
)

// EnableTLS lets the server speak TLS with a certificate for the host names given, and returns the
// authority that signed it, in PEM. New connections may use it as soon as EnableTLS has returned.
func (s *Server) EnableTLS(ctx context.Context, hosts ...string) (authorityPEM string, err error) {
	authority, certificate, key, err := certificates(hosts)
	if err != nil {
		return "", fmt.Errorf("making certificates: %w", err)
	}
	files := map[string][]byte{
		"server.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}),
		"server.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	}
	for name, content := range files {
		path := filepath.Join(s.Data(), name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return "", fmt.Errorf("writing %s: %w", name, err)
		}
		if err := s.own(path); err != nil {
			return "", err
		}
	}
	if err := s.Exec(ctx, "postgres", "ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()"); err != nil {
		return "", fmt.Errorf("switching TLS on: %w", err)
	}
	authorityPEM = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority}))
	return authorityPEM, s.waitTLS(ctx, authorityPEM, hosts[0])
}

// waitTLS waits until the server, which reloads when it gets to it, shows the new certificate.
func (s *Server) waitTLS(ctx context.Context, authorityPEM, host string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	config, err := s.connConfig(SuperuserName, s.SuperuserPassword, "postgres")
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(authorityPEM))
	config.TLSConfig = &tls.Config{RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS12}
	for {
		conn, err := pgx.ConnectConfig(ctx, config)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for PostgreSQL to speak TLS: %w", err)
		}
	}
}

// certificates makes an authority and a server certificate signed by it, all in DER.
func certificates(hosts []string) (authority, certificate, key []byte, err error) {
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, nil, err
	}
	serverKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, nil, err
	}
	now := time.Now()
	issuer := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	subject := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "test server"}, NotBefore: issuer.NotBefore, NotAfter: issuer.NotAfter,
		DNSNames: hosts, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if authority, err = x509.CreateCertificate(rand.Reader, issuer, issuer, authorityKey.Public(), authorityKey); err != nil {
		return nil, nil, nil, err
	}
	if certificate, err = x509.CreateCertificate(rand.Reader, subject, issuer, serverKey.Public(), authorityKey); err != nil {
		return nil, nil, nil, err
	}
	key, err = x509.MarshalPKCS8PrivateKey(serverKey)
	return authority, certificate, key, err
}
