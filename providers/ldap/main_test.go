package ldap_test

import (
	"context"
	"fmt"
	"os"
	"testing"

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
	defer server.Close()
	if _, err := server.Prepare(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
