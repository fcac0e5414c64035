package postgres_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"broker/providers/postgres/postgrestest"
)

// server is the one PostgreSQL of this package's tests; tests that stop or pause one start their own.
var (
	server       *postgrestest.Server
	rootPassword string
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if server, err = postgrestest.Run(context.Background(), postgrestest.Config{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer server.Close()
	if rootPassword, err = server.Prepare(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
