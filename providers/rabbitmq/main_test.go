package rabbitmq_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"broker/providers/rabbitmq/rabbitmqtest"
)

// server is the one RabbitMQ of this package's tests: one takes some seconds to start.
var server *rabbitmqtest.Server

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if server, err = rabbitmqtest.Run(context.Background(), rabbitmqtest.Config{}); err != nil {
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
