package client

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
)

// ErrAuthority is returned when a broker does not belong to the certificate authority that was named.
var ErrAuthority = errors.New("the broker does not belong to that certificate authority")

// An Authority is the certificate authority that a broker shows.
type Authority struct {
	PEM         []byte
	Fingerprint string // sha256:HEX of its certificate
	Trusted     bool   // this machine's system trusts what the broker shows: PEM is not needed
}

// FetchAuthority returns the certificate authority of the broker at a URL, without believing it: compare the
// fingerprint with what is known from elsewhere. With a fingerprint it is compared here, and an authority that
// differs, or does not vouch for the broker, is an error wrapping ErrAuthority.
func FetchAuthority(ctx context.Context, address, fingerprint string) (Authority, error) {
	address, err := NormalAddress(address)
	if err != nil {
		return Authority{}, err
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" {
		return Authority{}, errors.New("a broker that is asked in clear has no certificate authority")
	}
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), "443")
	}
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: 5 * time.Second}, Config: &tls.Config{
		ServerName: u.Hostname(), MinVersion: tls.VersionTLS12,
		InsecureSkipVerify: true, // nothing is sent; what is shown is judged below
	}}
	conn, err := dialer.DialContext(ctx, "tcp", host)
	if err != nil {
		return Authority{}, fmt.Errorf("asking %s for its certificate: %w", address, err)
	}
	chain := conn.(*tls.Conn).ConnectionState().PeerCertificates
	if err := conn.Close(); err != nil {
		return Authority{}, fmt.Errorf("asking %s for its certificate: %w", address, err)
	}
	return judge(chain, u.Hostname(), fingerprint)
}

// judge finds the authority in what a broker has shown.
func judge(chain []*x509.Certificate, host, fingerprint string) (Authority, error) {
	verify := func(roots *x509.CertPool) error {
		via := x509.NewCertPool()
		for _, certificate := range chain[1:] {
			via.AddCert(certificate)
		}
		_, err := chain[0].Verify(x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: via})
		return err
	}
	root := chain[len(chain)-1]
	if fingerprint != "" {
		wanted, err := normalFingerprint(fingerprint)
		if err != nil {
			return Authority{}, err
		}
		root = nil
		for _, certificate := range chain {
			if fingerprintOf(certificate) == wanted {
				root = certificate
			}
		}
		if root == nil {
			return Authority{}, fmt.Errorf("%w: its own has the fingerprint %s", ErrAuthority, fingerprintOf(chain[len(chain)-1]))
		}
	}
	pool := x509.NewCertPool()
	pool.AddCert(root)
	out := Authority{
		PEM:         pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}),
		Fingerprint: fingerprintOf(root),
		Trusted:     fingerprint == "" && verify(nil) == nil,
	}
	if err := verify(pool); err != nil && !out.Trusted {
		var name x509.HostnameError
		if errors.As(err, &name) {
			return out, fmt.Errorf("the broker's certificate is not for %s: use one of its names, or have the node started with --api-name %s", host, host)
		}
		return out, fmt.Errorf("%w: %w", ErrAuthority, err)
	}
	return out, nil
}

func fingerprintOf(certificate *x509.Certificate) string {
	sum := sha256.Sum256(certificate.Raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// normalFingerprint takes the ways in which fingerprints are written.
func normalFingerprint(text string) (string, error) {
	text = strings.ToLower(strings.TrimSpace(text))
	text = strings.TrimPrefix(text, "sha256:")
	text = strings.ReplaceAll(text, ":", "")
	if raw, err := hex.DecodeString(text); err != nil || len(raw) != sha256.Size {
		return "", errors.New("a fingerprint is sha256: and 64 hexadecimal digits")
	}
	return "sha256:" + text, nil
}
