package postgrestest

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"broker/internal/testserver"
)

// RunStandby copies a running server and starts the copy as a hot standby that follows it. The caller
// calls Close, before that of the primary or after.
func RunStandby(ctx context.Context, primary *Server) (*Server, error) {
	s, c, err := prepared(Config{})
	if err != nil {
		return nil, err
	}
	s.SuperuserPassword = primary.SuperuserPassword
	c.Setup = func(ctx context.Context, server *testserver.Server) error {
		s.Server = server
		_, err := s.Exec(ctx, []string{"PGPASSWORD=" + primary.SuperuserPassword},
			filepath.Join(s.Bin, "pg_basebackup"), "--pgdata", s.Data(), "--write-recovery-conf", "--wal-method=stream",
			"--checkpoint=fast", "--no-sync", "--host="+Host, fmt.Sprintf("--port=%d", primary.Port), "--username="+SuperuserName, "--no-password")
		return err
	}
	if s.Server, err = testserver.Run(ctx, c); err != nil {
		return nil, err
	}
	return s, nil
}

// StartStandby runs a hot standby of a server for one test and closes it when the test ends.
func StartStandby(t testing.TB, primary *Server) *Server {
	t.Helper()
	s, err := RunStandby(t.Context(), primary)
	if err != nil {
		t.Fatalf("starting a standby of PostgreSQL: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the standby: %v", err)
		}
	})
	return s
}
