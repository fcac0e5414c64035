package redis_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"broker/providers/redis/redistest"
)

// server is the one Redis of this package's tests; tests that need another kind of server start their own.
var server *redistest.Server

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if server, err = redistest.Run(context.Background(), redistest.Config{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer server.Close()
	if _, err = server.Prepare(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
