package mysql_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"

	"broker/providers/mysql/mysqltest"
)

// mysqld has every test of the package run against MySQL in place of the machine's MariaDB:
//
//	go test ./providers/mysql -mysqld /usr/sbin/mysqld
var mysqld = flag.String("mysqld", os.Getenv("BROKER_TEST_MYSQLD"), "path of a mysqld of MySQL to test against, in place of the machine's MariaDB")

// server is the one server of this package's tests; tests that stop or pause one start their own.
var server *mysqltest.Server

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if server, err = mysqltest.Run(context.Background(), mysqltest.Config{MySQL: *mysqld}); err != nil {
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
