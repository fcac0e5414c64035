package awsiam_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"broker/providers/awsclient/awstest"
)

// server is the one moto of this package's tests.
var server *awstest.Server

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if server, err = awstest.Run(context.Background(), awstest.Config{}); err != nil {
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
