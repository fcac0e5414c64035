package providers_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"broker/providers"
)

// pair is a self-signed certificate for localhost and db.internal, good for servers and clients, and its key, in PEM.
func pair(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost", "db.internal"}, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, bytes []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}))
	}
	return encode("CERTIFICATE", signed), encode("PRIVATE KEY", der)
}

// tlsSettings are fields of TLSFields as a connection has them.
func tlsSettings(t *testing.T, given map[string]any) providers.Settings {
	t.Helper()
	settings, problems := providers.Description{Connection: providers.TLSFields()}.ValidateConnection(given)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return settings
}

// handshake connects to a server that has the pair and demands a client's certificate if told to.
func handshake(t *testing.T, cert, key string, demand bool, config *tls.Config) error {
	t.Helper()
	own, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(cert))
	server := &tls.Config{Certificates: []tls.Certificate{own}, ClientCAs: roots}
	if demand {
		server.ClientAuth = tls.RequireAndVerifyClientCert
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		if conn, err := listener.Accept(); err == nil {
			_, _ = conn.Write([]byte("x")) // what the server thinks of the client's certificate comes with the first byte
			_ = conn.Close()
		}
	}()
	raw, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	_ = raw.SetDeadline(time.Now().Add(10 * time.Second))
	_, err = tls.Client(raw, config).Read(make([]byte, 1))
	return err
}

func TestTLSConfig(t *testing.T) {
	cert, key := pair(t)
	otherCert, otherKey := pair(t)
	tests := []struct {
		name   string
		host   string
		given  map[string]any
		demand bool
		ok     bool
	}{
		{"its authority", "localhost", map[string]any{"tls_ca": cert}, false, true},
		{"the system's authorities", "localhost", nil, false, false},
		{"another authority", "localhost", map[string]any{"tls_ca": otherCert}, false, false},
		{"another host", "db.example.com", map[string]any{"tls_ca": cert}, false, false},
		{"another host with the server's name", "db.example.com", map[string]any{"tls_ca": cert, "tls_server_name": "db.internal"}, false, true},
		{"a wrong server name", "localhost", map[string]any{"tls_ca": cert, "tls_server_name": "db.example.com"}, false, false},
		{"believes whoever answers", "db.example.com", map[string]any{"tls": "insecure"}, false, true},
		{"without a certificate of its own", "localhost", map[string]any{"tls_ca": cert}, true, false},
		{"with one", "localhost", map[string]any{"tls_ca": cert, "tls_cert": cert, "tls_key": key}, true, true},
		{"with one of another authority", "localhost", map[string]any{"tls_ca": cert, "tls_cert": otherCert, "tls_key": otherKey}, true, false},
	}
	for _, test := range tests {
		config, err := providers.TLSConfig(tlsSettings(t, test.given), test.host)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if err := handshake(t, cert, key, test.demand, config); (err == nil) != test.ok {
			t.Errorf("%s: got %v, want success %v", test.name, err, test.ok)
		}
	}
	if config, err := providers.TLSConfig(tlsSettings(t, map[string]any{"tls": "off"}), "db"); config != nil || err != nil {
		t.Errorf("off: got %v, %v", config, err)
	}
	// Settings from before there was the field verify.
	if config, err := providers.TLSConfig(providers.Settings{}, "db"); err != nil || config == nil || config.InsecureSkipVerify || config.ServerName != "db" || config.MinVersion < tls.VersionTLS12 {
		t.Errorf("nothing said: got %+v, %v", config, err)
	}
}

func TestTLSConfigRefuses(t *testing.T) {
	cert, key := pair(t)
	_, otherKey := pair(t)
	for field, given := range map[string]map[string]any{
		"tls_ca":                             {"tls_ca": "no certificate"},
		"tls_cert":                           {"tls_cert": cert},
		"tls_key":                            {"tls_key": key},
		"no certificate in PEM with its key": {"tls_cert": cert, "tls_key": otherKey},
		"are no certificate":                 {"tls_cert": "canary-cert", "tls_key": "canary-key"},
	} {
		_, err := providers.TLSConfig(tlsSettings(t, given), "db")
		if err == nil || !strings.Contains(err.Error(), field) || strings.Contains(err.Error(), "canary-key") || strings.Contains(err.Error(), "PRIVATE") {
			t.Errorf("%s: got %v", field, err)
		}
	}
}

func TestTLSWarnings(t *testing.T) {
	for _, test := range []struct {
		mode, host string
		warns      bool
	}{
		{"verify", "db.internal", false}, {"", "db.internal", false}, {"insecure", "db.internal", true}, {"insecure", "localhost", true},
		{"off", "db.internal", true}, {"off", "10.0.0.1", true}, {"off", "localhost", false}, {"off", "127.0.0.1", false}, {"off", "::1", false}, {"off", "::ffff:127.0.0.1", false},
		{"off", "localhost.example.com", true}, {"off", "127.0.0.1.example.com", true},
	} {
		if got := providers.TLSWarnings(providers.Settings{"tls": test.mode}, test.host); (len(got) > 0) != test.warns {
			t.Errorf("%s at %s: got %q", test.mode, test.host, got)
		}
	}
	for address, want := range map[string]string{"db:5432": "db", "[::1]:443": "::1", "db": "db", "": ""} {
		if got := providers.HostOf(address); got != want {
			t.Errorf("host of %q: got %q, want %q", address, got, want)
		}
	}
}
