package providers

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
)

// Names of the connection fields that [TLSFields] describes.
const (
	FieldTLS           = "tls"
	FieldTLSCA         = "tls_ca"
	FieldTLSServerName = "tls_server_name"
	FieldTLSCert       = "tls_cert"
	FieldTLSKey        = "tls_key"
)

// The values of the field "tls".
const (
	TLSVerify   = "verify"   // encrypted, and the server proves who it is
	TLSInsecure = "insecure" // encrypted, and whoever answers is believed
	TLSOff      = "off"      // in clear
)

// TLSFields returns the connection fields that say how a connection is protected, for providers whose systems have no
// words of their own for it.
func TLSFields() []Field {
	return []Field{
		{Name: FieldTLS, Type: TypeString, Enum: []string{TLSVerify, TLSInsecure, TLSOff}, Default: TLSVerify,
			Help: "How the connection is protected: verify checks the server's certificate, insecure believes whoever answers, off sends everything in clear."},
		{Name: FieldTLSCA, Type: TypeText,
			Help: "Certificates (PEM) that the server's certificate is checked against. The system's are used when there are none."},
		{Name: FieldTLSServerName, Type: TypeString, Example: "db.internal",
			Help: "Name that the server's certificate has to carry, when it is not the host's."},
		{Name: FieldTLSCert, Type: TypeText,
			Help: "Certificate (PEM) by which the broker proves who it is, when the server asks for one."},
		{Name: FieldTLSKey, Type: TypeText, Secret: true,
			Help: "Key (PEM) of that certificate."},
	}
}

// TLSConfig makes what the fields of [TLSFields] say, for a server at host; nil when the connection is in clear. The
// error names the field and holds no secret.
func TLSConfig(settings Settings, host string) (*tls.Config, error) {
	mode := settings.String(FieldTLS)
	if mode == TLSOff {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host, InsecureSkipVerify: mode == TLSInsecure}
	if name := settings.String(FieldTLSServerName); name != "" {
		config.ServerName = name
	}
	if ca := settings.String(FieldTLSCA); ca != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(ca)) {
			return nil, fmt.Errorf("field %s holds no certificate in PEM", FieldTLSCA)
		}
	}
	cert, key := settings.String(FieldTLSCert), settings.String(FieldTLSKey)
	if (cert == "") != (key == "") {
		return nil, fmt.Errorf("fields %s and %s are given together or not at all", FieldTLSCert, FieldTLSKey)
	}
	if cert != "" {
		pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
		if err != nil {
			return nil, fmt.Errorf("fields %s and %s are no certificate in PEM with its key", FieldTLSCert, FieldTLSKey)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// TLSWarnings says what is unwise in the fields of [TLSFields], for a server at host.
func TLSWarnings(settings Settings, host string) []string {
	switch settings.String(FieldTLS) {
	case TLSInsecure:
		return []string{fmt.Sprintf("%s=%s: whoever answers in place of %s learns the root credential; give %s=%s with %s", FieldTLS, TLSInsecure, host, FieldTLS, TLSVerify, FieldTLSCA)}
	case TLSOff:
		if IsLoopback(host) {
			return nil
		}
		return []string{fmt.Sprintf("%s=%s: the root credential and every leased one cross the network to %s in clear", FieldTLS, TLSOff, host)}
	}
	return nil
}

// IsLoopback reports whether a host is this machine by its address or by the name localhost.
func IsLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// HostOf returns the host of "host:port", or all of it when there is no port.
func HostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}
