package x509test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"broker/internal/testserver"
)

// Config says how to run a server.
type Config struct {
	// Fetch gets a document that a connection publishes. When it is there, LogIn has the server take ca.pem and crl.pem
	// anew before, as an administrator's timer would. Nil: the test calls Trust and Refuse.
	Fetch func(ctx context.Context, document string) ([]byte, error)
}

// Server is a TLS server in this process. Its methods are safe for concurrent use.
type Server struct {
	listener net.Listener
	fetch    func(ctx context.Context, document string) ([]byte, error)
	roots    *x509.CertPool // those of the server's own certificate
	own      tls.Certificate
	serving  sync.WaitGroup

	mu      sync.Mutex
	trusted *x509.CertPool
	lists   []*x509.RevocationList
}

// Run starts a server that trusts nobody yet. The caller calls Close.
func Run(_ context.Context, config Config) (*Server, error) {
	s := &Server{fetch: config.Fetch, roots: x509.NewCertPool(), trusted: x509.NewCertPool()}
	if err := s.makeCertificate(); err != nil {
		return nil, fmt.Errorf("making the server's certificate: %w", err)
	}
	listener, err := tls.Listen("tcp", testserver.Host+":0", &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.config(), nil }})
	if err != nil {
		return nil, err
	}
	s.listener = listener
	s.serving.Go(s.serve)
	return s, nil
}

func (s *Server) makeCertificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test server"}, IPAddresses: []net.IP{net.ParseIP(testserver.Host)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	s.own = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	parsed, err := x509.ParseCertificate(der)
	if err == nil {
		s.roots.AddCert(parsed)
	}
	return err
}

// Address returns the server's "host:port".
func (s *Server) Address() string { return s.listener.Addr().String() }

// Trust has the server trust authorities, in the form of ca.pem.
func (s *Server) Trust(authorities []byte) error {
	pool := x509.NewCertPool()
	if len(authorities) > 0 && !pool.AppendCertsFromPEM(authorities) {
		return errors.New("there is no certificate to trust")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trusted = pool
	return nil
}

// Refuse has the server refuse what lists name, in the form of crl.pem.
func (s *Server) Refuse(text []byte) error {
	var lists []*x509.RevocationList
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return err
		}
		lists = append(lists, list)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists = lists
	return nil
}

// Refresh has the server take what a connection publishes.
func (s *Server) Refresh(ctx context.Context) error {
	for document, take := range map[string]func([]byte) error{"ca.pem": s.Trust, "crl.pem": s.Refuse} {
		content, err := s.fetch(ctx, document)
		if err == nil {
			err = take(content)
		}
		if err != nil {
			return fmt.Errorf("taking %s: %w", document, err)
		}
	}
	return nil
}

func (s *Server) config() *tls.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	lists := s.lists
	return &tls.Config{
		Certificates: []tls.Certificate{s.own}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: s.trusted,
		MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true,
		VerifyConnection: func(state tls.ConnectionState) error { return check(state.VerifiedChains, lists) },
	}
}

// check refuses a certificate that the list of its issuer names, or that no list vouches for.
func check(chains [][]*x509.Certificate, lists []*x509.RevocationList) error {
	err := errors.New("there is no chain")
	for _, chain := range chains {
		if err = checkOne(chain[0], chain[1], lists); err == nil {
			return nil
		}
	}
	return err
}

func checkOne(leaf, issuer *x509.Certificate, lists []*x509.RevocationList) error {
	for _, list := range lists {
		if list.CheckSignatureFrom(issuer) != nil {
			continue
		}
		if now := time.Now(); now.Before(list.ThisUpdate) || now.After(list.NextUpdate) {
			return errors.New("the list of what was revoked is too old or too new")
		}
		for _, entry := range list.RevokedCertificateEntries {
			if entry.SerialNumber.Cmp(leaf.SerialNumber) == 0 {
				return errors.New("the certificate was revoked")
			}
		}
		return nil
	}
	return errors.New("there is no list of what this issuer revoked")
}

// serve greets whom it lets in.
func (s *Server) serve() {
	for {
		connection, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.serving.Go(func() {
			defer connection.Close()
			_ = connection.SetDeadline(time.Now().Add(20 * time.Second))
			_, _ = io.WriteString(connection, "welcome\n") // with a handshake before, which may fail
		})
	}
}

// LogIn connects with the values of a lease. Nil means that the server let them in.
func (s *Server) LogIn(ctx context.Context, values map[string]string) error {
	if s.fetch != nil {
		if err := s.Refresh(ctx); err != nil {
			return err
		}
	}
	pair, err := tls.X509KeyPair([]byte(values["certificate"]), []byte(values["private_key"]))
	if err != nil {
		return err
	}
	dialer := &tls.Dialer{Config: &tls.Config{RootCAs: s.roots, Certificates: []tls.Certificate{pair}}}
	connection, err := dialer.DialContext(ctx, "tcp", s.Address())
	if err != nil {
		return err
	}
	defer connection.Close()
	stop := context.AfterFunc(ctx, func() { _ = connection.Close() })
	defer stop()
	greeting, err := io.ReadAll(connection)
	if err == nil && string(greeting) != "welcome\n" {
		err = errors.New("the server says nothing")
	}
	return err
}

// Close ends the server.
func (s *Server) Close() error {
	err := s.listener.Close()
	s.serving.Wait()
	return err
}

// Prepare has nothing to do: there is no root account, and the broker makes the authority.
func (s *Server) Prepare(context.Context) (rootPassword string, err error) { return "", nil }

// Logins fails: certificates are kept nowhere but with their holders.
func (s *Server) Logins(context.Context, string) ([]string, error) {
	return nil, errors.New("certificates cannot be listed")
}

// Connection returns the settings of a connection: none, the broker makes the authority.
func (s *Server) Connection() map[string]any { return map[string]any{} }

// Options returns options of a secret whose leases the server lets in.
func (s *Server) Options() map[string]any { return map[string]any{} }

// Start runs a server for one test and closes it when the test ends.
func Start(t testing.TB, config Config) *Server {
	t.Helper()
	s, err := Run(t.Context(), config)
	if err != nil {
		t.Fatalf("starting a TLS server: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the TLS server: %v", err)
		}
	})
	return s
}
