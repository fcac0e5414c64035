package postgres

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"broker/providers"
)

// settings are a connection's fields, read once.
type settings struct {
	host             string
	port             uint16
	database         string
	username         string
	password         providers.Secret
	sslMode          string // effective
	sslModeGiven     string // "" when the default was taken
	roots            *x509.CertPool
	clientHost       string
	clientPort       int64
	maxConnections   int32
	connectTimeout   time.Duration
	statementTimeout time.Duration
}

func readSettings(s providers.Settings) (settings, error) {
	read := settings{
		host:             s.String(fieldHost),
		port:             uint16(s.Integer(fieldPort)),
		database:         s.String(fieldDatabase),
		username:         s.String(fieldUsername),
		password:         providers.NewSecret(s.String(fieldPassword)),
		sslModeGiven:     s.String(fieldSSLMode),
		clientHost:       s.String(fieldClientHost),
		clientPort:       s.Integer(fieldClientPort),
		maxConnections:   int32(s.Integer(fieldMaxConnections)),
		connectTimeout:   s.Duration(fieldConnectTimeout),
		statementTimeout: s.Duration(fieldStatementTimeout),
	}
	if read.host == "" || read.database == "" || read.username == "" {
		return settings{}, errors.New("host, database and username are required")
	}
	if !isHost(read.host) {
		// Not repeated: it may be a URL with a password in it.
		return settings{}, errors.New("host must be one name or address, without a scheme, a port, a path or an account")
	}
	if read.port == 0 {
		read.port = 5432
	}
	if read.clientHost == "" {
		read.clientHost = read.host
	}
	if read.clientPort == 0 {
		read.clientPort = int64(read.port)
	}
	if read.maxConnections <= 0 {
		read.maxConnections = 8
	}
	if read.connectTimeout <= 0 {
		read.connectTimeout = defaultConnectTimeout
	}
	if read.statementTimeout <= 0 {
		read.statementTimeout = defaultStatementTimeout
	}
	read.sslMode = effectiveSSLMode(read.host, read.sslModeGiven)
	if pem := s.String(fieldSSLRootCert); pem != "" {
		read.roots = x509.NewCertPool()
		if !read.roots.AppendCertsFromPEM([]byte(pem)) {
			return settings{}, errors.New("sslrootcert holds no certificate in PEM")
		}
	}
	return read, nil
}

func effectiveSSLMode(host, given string) string {
	switch {
	case given != "":
		return given
	case isLoopback(host):
		return "prefer"
	}
	return "verify-full"
}

// isHost reports whether text may be the name or address of one host, and no URL.
func isHost(text string) bool {
	if _, err := netip.ParseAddr(text); err == nil {
		return true
	}
	return !strings.ContainsAny(text, "/,:@?# \t\r\n")
}

func isLoopback(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().IsLoopback()
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// superusers are accounts that initdb and managed services make as superusers.
var superusers = []string{"postgres", "pgsql", "enterprisedb"}

// Warnings says which protection the settings give up. Whether the root account is a superuser the
// settings alone cannot prove; its name tells most cases.
func (Provider) Warnings(s providers.Settings) []string {
	var warnings []string
	if username := s.String(fieldUsername); slices.Contains(superusers, username) {
		warnings = append(warnings, fmt.Sprintf("the root account %q usually is a superuser: whoever defines secrets with creation_statements then runs anything on the server; an account with CREATEROLE is enough, and the provider's page has the statements that make it", username))
	}
	host := s.String(fieldHost)
	mode := effectiveSSLMode(host, s.String(fieldSSLMode))
	if mode == "verify-full" || isLoopback(host) {
		return warnings
	}
	consequence := map[string]string{
		"disable":   "nothing is encrypted: whoever is on the way reads the root account's traffic",
		"prefer":    "whoever is on the way can switch encryption off and pose as the server",
		"require":   "the server's certificate is not checked: whoever is on the way can pose as the server",
		"verify-ca": "the name in the server's certificate is not checked: any server of that authority can pose as this one",
	}[mode]
	return append(warnings, fmt.Sprintf("sslmode is %s for %s, which is not loopback: %s; verify-full is safe", mode, host, consequence))
}

// tlsConfig returns the configuration for the mode, nil for none, and whether going without is
// allowed when the server has no TLS.
func (s settings) tlsConfig() (config *tls.Config, orPlain bool) {
	config = &tls.Config{ServerName: s.host, RootCAs: s.roots, MinVersion: tls.VersionTLS12}
	switch s.sslMode {
	case "disable":
		return nil, false
	case "prefer":
		config.InsecureSkipVerify = true
		return config, true
	case "require":
		config.InsecureSkipVerify = true
	case "verify-ca":
		// The chain is checked by hand because crypto/tls checks it only together with the name.
		config.InsecureSkipVerify = true
		roots := s.roots
		config.VerifyConnection = func(state tls.ConnectionState) error {
			options := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
			for _, cert := range state.PeerCertificates[1:] {
				options.Intermediates.AddCert(cert)
			}
			if _, err := state.PeerCertificates[0].Verify(options); err != nil {
				return fmt.Errorf("verifying the server's certificate: %w", err)
			}
			return nil
		}
	}
	return config, false
}
