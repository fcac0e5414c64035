package sshtest

import (
	"context"
	"errors"
	"testing"
)

// Start runs a server for one test and closes it when the test ends.
func Start(t testing.TB, config Config) *Server {
	t.Helper()
	s, err := Run(t.Context(), config)
	if err != nil {
		t.Fatalf("starting sshd: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing sshd: %v", err)
		}
	})
	return s
}

// Prepare has nothing to do: there is no root account, and the broker makes the authority.
func (s *Server) Prepare(context.Context) (rootPassword string, err error) { return "", nil }

// Logins fails: certificates are kept nowhere but with their holders.
func (s *Server) Logins(context.Context, string) ([]string, error) {
	return nil, errors.New("certificates cannot be listed")
}

// Connection returns the settings of a connection: none, the broker makes the authority.
func (s *Server) Connection() map[string]any { return map[string]any{} }

// Options returns options of a secret whose leases log in at the server.
func (s *Server) Options() map[string]any { return map[string]any{"principals": []any{s.User}} }
