package postgrestest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"broker/internal/testserver"
)

// EnableTLS lets the server speak TLS with a certificate for the host names given, and returns the
// authority that signed it, in PEM. New connections may use it as soon as EnableTLS has returned.
func (s *Server) EnableTLS(ctx context.Context, hosts ...string) (authorityPEM string, err error) {
	made, err := testserver.NewCertificates(hosts...)
	if err != nil {
		return "", err
	}
	for name, content := range map[string]string{"data/server.crt": made.Certificate, "data/server.key": made.Key} {
		if _, err := s.Write(name, []byte(content)); err != nil {
			return "", err
		}
	}
	if err := s.SQL(ctx, "postgres", "ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()"); err != nil {
		return "", fmt.Errorf("switching TLS on: %w", err)
	}
	return made.Authority, s.waitTLS(ctx, made.Authority, hosts[0])
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
