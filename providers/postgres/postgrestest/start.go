package postgrestest

import (
	"testing"
)

// Start runs a server for one test and closes it when the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	s, err := Run(t.Context(), Config{})
	if err != nil {
		t.Fatalf("starting PostgreSQL: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing PostgreSQL: %v", err)
		}
	})
	return s
}

// MustExec runs statements in a database as the superuser, or fails the test.
func (s *Server) MustExec(t testing.TB, database string, statements ...string) {
	t.Helper()
	if err := s.SQL(t.Context(), database, statements...); err != nil {
		t.Fatal(err)
	}
}

// MustPrepare makes what Prepare makes, or fails the test, and returns the root account's password.
func (s *Server) MustPrepare(t testing.TB) (rootPassword string) {
	t.Helper()
	password, err := s.Prepare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return password
}
