package mysql_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"broker/providers"
	"broker/providers/mysql"
	"broker/providers/mysql/mysqltest"
)

const (
	rateLeases  = 2000
	rateCallers = 32
	rateBatch   = 100 // logins that the broker revokes by one call
)

// BenchmarkLeases issues 2 000 leases at concurrency 32 and revokes them together, by a Backend and by a loop over the
// plain driver that runs the same statements about accounts, at a server that writes its log to disk at each commit:
//
//	go test ./providers/mysql -run '^$' -bench Leases -benchtime 1x
func BenchmarkLeases(b *testing.B) {
	durable := mysqltest.StartWith(b, mysqltest.Config{MySQL: *mysqld})
	durable.MustPrepare(b)
	durable.MustExec(b, "SET GLOBAL general_log = 0", "SET GLOBAL innodb_flush_log_at_trx_commit = 1", "SET GLOBAL sync_binlog = 1")
	b.Run("raw", func(b *testing.B) { rate(b, durable, rawLeases(b, durable)) })
	b.Run("backend", func(b *testing.B) { rate(b, durable, backendLeases(b, durable)) })
}

// leases is a way to make and remove logins.
type leases struct {
	prefix string
	create func(name providers.LoginName) error
	revoke func(names []providers.LoginName) error
}

func rate(b *testing.B, server *mysqltest.Server, l leases) {
	b.Helper()
	for range b.N {
		names := make([]providers.LoginName, rateLeases)
		for i := range names {
			names[i] = providers.LoginName(fmt.Sprintf("%s%04d", l.prefix, i))
		}
		began := time.Now()
		p99 := concurrently(b, names, func(name providers.LoginName) error { return l.create(name) })
		b.ReportMetric(rateLeases/time.Since(began).Seconds(), "issued/s")
		b.ReportMetric(p99.Seconds()*1000, "issue-p99-ms")
		if there, err := server.Logins(b.Context(), l.prefix); err != nil || len(there) != rateLeases {
			b.Fatalf("%d logins are there, %v", len(there), err)
		}
		began = time.Now()
		for batch := range slices.Chunk(names, rateBatch) {
			if err := l.revoke(batch); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(rateLeases/time.Since(began).Seconds(), "revoked/s")
		if left, err := server.Logins(b.Context(), l.prefix); err != nil || len(left) > 0 {
			b.Fatalf("%d logins are left, %v", len(left), err)
		}
	}
}

// concurrently does something for each name and returns how long the slowest hundredth took at least.
func concurrently(b *testing.B, names []providers.LoginName, do func(providers.LoginName) error) time.Duration {
	b.Helper()
	todo := make(chan providers.LoginName)
	var calling sync.WaitGroup
	var mu sync.Mutex
	var took []time.Duration
	for range rateCallers {
		calling.Go(func() {
			for name := range todo {
				began := time.Now()
				if err := do(name); err != nil {
					b.Error(err)
				}
				mu.Lock()
				took = append(took, time.Since(began))
				mu.Unlock()
			}
		})
	}
	for _, name := range names {
		todo <- name
	}
	close(todo)
	calling.Wait()
	slices.Sort(took)
	return took[len(took)*99/100]
}

func backendLeases(b *testing.B, server *mysqltest.Server) leases {
	b.Helper()
	settings, problems := mysql.Provider{}.Describe().ValidateConnection(server.Connection())
	if len(problems) > 0 {
		b.Fatal(problems)
	}
	validated, problems := mysql.Provider{}.Describe().ValidateOptions(server.Options())
	if len(problems) > 0 {
		b.Fatal(problems)
	}
	backend, err := mysql.Provider{}.Open(settings, providers.Env{ClusterID: clusterID, Prefix: "brk_back_"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { backend.Close() })
	login := func(name providers.LoginName) providers.Login {
		return providers.Login{Name: name, ExpiresAt: time.Now().Add(time.Hour), Options: validated}
	}
	return leases{
		prefix: "brk_back_",
		create: func(name providers.LoginName) error {
			_, err := backend.Create(b.Context(), providers.Grant{Login: login(name), LeaseID: "01J0MYSQLTESTLEASE00000000", Deadline: time.Now().Add(time.Minute)})
			return err
		},
		revoke: func(names []providers.LoginName) error {
			var logins []providers.Login
			for _, name := range names {
				logins = append(logins, login(name))
			}
			for name, err := range backend.Revoke(b.Context(), logins) {
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
			return nil
		},
	}
}

// rawLeases runs the same statements, and none of those that make sure.
func rawLeases(b *testing.B, server *mysqltest.Server) leases {
	b.Helper()
	db := server.Connect(mysqltest.RootName, server.Connection()["password"].(string), "")
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8)
	b.Cleanup(func() { db.Close() })
	account := func(name providers.LoginName) string { return "'" + string(name) + "'@'%'" }
	run := func(conn *sql.Conn, statements ...string) error {
		for _, statement := range statements {
			if _, err := conn.ExecContext(b.Context(), statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return nil
	}
	with := func(do func(*sql.Conn) error) error {
		conn, err := db.Conn(context.Background())
		if err != nil {
			return err
		}
		defer conn.Close()
		return do(conn)
	}
	if server.MariaDB {
		if err := with(func(conn *sql.Conn) error { return run(conn, "CREATE ROLE raw_mark") }); err != nil {
			b.Fatal(err)
		}
	}
	return leases{
		prefix: "brk_rawl_",
		create: func(name providers.LoginName) error {
			to := account(name)
			statements := []string{
				"CREATE USER " + to + " IDENTIFIED BY 'Password-of-the-loop-1' REQUIRE NONE WITH MAX_USER_CONNECTIONS 0 PASSWORD EXPIRE NEVER ACCOUNT LOCK ATTRIBUTE '{\"a\": \"b\"}'",
				"GRANT " + mysqltest.ReadRole + " TO " + to, "ALTER USER " + to + " DEFAULT ROLE " + mysqltest.ReadRole, "ALTER USER " + to + " ACCOUNT UNLOCK",
			}
			if server.MariaDB {
				statements = []string{
					"CREATE USER " + to + " IDENTIFIED BY 'Password-of-the-loop-1' REQUIRE NONE WITH MAX_USER_CONNECTIONS 0 PASSWORD EXPIRE NEVER ACCOUNT LOCK",
					"GRANT raw_mark TO " + to, "GRANT " + mysqltest.ReadRole + " TO " + to, "SET DEFAULT ROLE " + mysqltest.ReadRole + " FOR " + to, "ALTER USER " + to + " ACCOUNT UNLOCK",
				}
			}
			return with(func(conn *sql.Conn) error { return run(conn, statements...) })
		},
		revoke: func(names []providers.LoginName) error {
			var all []string
			for _, name := range names {
				all = append(all, account(name))
			}
			list := strings.Join(all, ", ")
			return with(func(conn *sql.Conn) error { return run(conn, "ALTER USER "+list+" ACCOUNT LOCK", "DROP USER "+list) })
		},
	}
}
