package ldaptest

import "testing"

// Start runs a prepared server for one test and closes it when the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	s, err := Run(t.Context(), Config{})
	if err != nil {
		t.Fatalf("starting OpenLDAP: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing OpenLDAP: %v", err)
		}
	})
	if _, err := s.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// MustModify carries LDIF out as the directory's administrator, or fails the test.
func (s *Server) MustModify(t testing.TB, ldif string) {
	t.Helper()
	if err := s.Modify(t.Context(), AdminDN, ldif); err != nil {
		t.Fatal(err)
	}
}
