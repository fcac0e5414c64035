package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// RunStandby copies a running server and starts the copy as a hot standby that follows it. The caller
// calls Close, before that of the primary or after.
func RunStandby(ctx context.Context, primary *Server) (*Server, error) {
	s := &Server{Bin: primary.Bin, SuperuserPassword: primary.SuperuserPassword, credential: primary.credential}
	if err := s.makeDir(); err != nil {
		return nil, err
	}
	copying := exec.CommandContext(ctx, filepath.Join(s.Bin, "pg_basebackup"), "--pgdata", s.Data(), "--write-recovery-conf", "--wal-method=stream",
		"--checkpoint=fast", "--no-sync", "--host="+Host, fmt.Sprintf("--port=%d", primary.Port), "--username="+SuperuserName, "--no-password")
	copying.Dir, copying.Env = s.Dir, append(os.Environ(), "PGPASSWORD="+primary.SuperuserPassword)
	copying.SysProcAttr = &syscall.SysProcAttr{Credential: s.credential}
	if output, err := copying.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("copying a PostgreSQL server: %w: %s", err, output), os.RemoveAll(s.Dir))
	}
	var err error
	if s.Port, err = freePort(); err == nil {
		err = s.Start(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
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
