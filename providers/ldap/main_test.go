package ldap_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"broker/providers/ldap/ldaptest"
)

// server is the one directory of this package's tests; tests that stop or pause one start their own.
var server *ldaptest.Server

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	var err error
	if server, err = ldaptest.Run(context.Background(), ldaptest.Config{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if _, err := server.Prepare(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, errors.Join(err, server.Close()))
		return 1
	}
	code := m.Run()
	if err := server.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// Every Backend is closed by now: nothing of it may go on.
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}
