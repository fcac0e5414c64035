package mysqltest

import "testing"

// Start runs a server for one test and closes it when the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	return StartWith(t, Config{})
}

// StartWith runs a server for one test, as the configuration says, and closes it when the test ends.
func StartWith(t testing.TB, config Config) *Server {
	t.Helper()
	s, err := Run(t.Context(), config)
	if err != nil {
		t.Fatalf("starting the server: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the server: %v", err)
		}
	})
	return s
}

// MustExec runs statements as the administrator, or fails the test.
func (s *Server) MustExec(t testing.TB, statements ...string) {
	t.Helper()
	if err := s.SQL(t.Context(), statements...); err != nil {
		t.Fatal(err)
	}
}

// MustPrepare makes what Prepare makes, or fails the test.
func (s *Server) MustPrepare(t testing.TB) {
	t.Helper()
	if _, err := s.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
}
