package postgres_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"broker/providers"
	"broker/providers/postgres/postgrestest"
)

// What a leased user made outlives the lease: it goes to the owner role, with its rows.
func TestRevokeKeepsWhatTheUserMade(t *testing.T) {
	heir := fresh("heir")
	server.MustExec(t, "postgres", "CREATE ROLE "+heir+" NOLOGIN", "GRANT "+heir+" TO "+postgrestest.RootName)
	server.MustExec(t, postgrestest.Database, "GRANT CREATE ON SCHEMA public TO "+heir)
	for owner, values := range map[string]map[string]any{
		postgrestest.OwnerRole: {"member_of": postgrestest.WriteRole},
		heir:                   {"member_of": postgrestest.WriteRole, "owner_role": heir},
	} {
		k := open(t, nil)
		login, made := k.create(values)
		conn := k.connect(made, postgrestest.Database)
		table := fresh("made_for_" + owner)
		for _, sql := range []string{
			"CREATE TABLE " + table + " (n int)",
			"INSERT INTO " + table + " SELECT generate_series(1, 100)",
			"GRANT SELECT ON " + table + " TO " + postgrestest.ReadRole,
			"CREATE SCHEMA IF NOT EXISTS not_allowed",
		} {
			if _, err := conn.Exec(t.Context(), sql); err != nil && !strings.Contains(sql, "not_allowed") {
				t.Fatal(err)
			}
		}
		k.mustRevoke(login)
		if got := query[int](t, server, postgrestest.Database, "SELECT count(*)::int FROM "+table); got != 100 {
			t.Errorf("table %s has %d rows, want 100", table, got)
		}
		if got := query[string](t, server, postgrestest.Database, "SELECT tableowner::text FROM pg_tables WHERE tablename = $1", table); got != owner {
			t.Errorf("table %s belongs to %q, want %q", table, got, owner)
		}
	}
}

func TestRevokeReachesOtherDatabases(t *testing.T) {
	billing := fresh("billing")
	server.MustExec(t, "postgres", "CREATE DATABASE "+billing+" OWNER "+postgrestest.OwnerRole)
	server.MustExec(t, billing, "GRANT CREATE ON SCHEMA public TO "+postgrestest.WriteRole)
	k := open(t, nil)
	login, made := k.create(map[string]any{"member_of": postgrestest.WriteRole})
	conn := k.connect(made, billing)
	if _, err := conn.Exec(t.Context(), "CREATE TABLE invoices AS SELECT generate_series(1, 7) AS n"); err != nil {
		t.Fatal(err)
	}
	server.MustExec(t, billing, "GRANT CREATE ON DATABASE "+billing+` TO "`+string(login.Name)+`"`)
	k.mustRevoke(login)
	if got := query[int](t, server, billing, "SELECT count(*)::int FROM invoices"); got != 7 {
		t.Errorf("invoices has %d rows, want 7", got)
	}
	if got := query[string](t, server, billing, "SELECT tableowner::text FROM pg_tables WHERE tablename = 'invoices'"); got != postgrestest.OwnerRole {
		t.Errorf("invoices belongs to %q, want %q", got, postgrestest.OwnerRole)
	}
}

// What another role granted cannot be taken back: the login stays, without log-in and sessions, and
// the error says what is in the way.
func TestRevokeSaysWhatIsInTheWay(t *testing.T) {
	k := open(t, nil)
	login, made := k.create(nil)
	conn := k.connect(made, postgrestest.Database)
	unstick := stick(t, login.Name)
	err := k.Revoke(t.Context(), []providers.Login{login})[login.Name]
	if got := kindOf(t, err); got != providers.KindRejected {
		t.Errorf("got kind %s, want rejected", got)
	}
	if text := err.Error(); !strings.Contains(text, "privileges for table private") || !strings.Contains(text, "2BP01") {
		t.Errorf("the error does not name what is in the way: %s", text)
	}
	if hint := err.(*providers.Error).Hint; !strings.Contains(hint, "REVOKE") {
		t.Errorf("the hint does not say what to do: %s", hint)
	}
	if err := conn.Ping(t.Context()); err == nil {
		t.Error("a session of a stuck login lives on")
	}
	if query[bool](t, server, "postgres", "SELECT rolcanlogin FROM pg_roles WHERE rolname = $1", string(login.Name)) {
		t.Error("a stuck login can log in")
	}
	unstick()
	k.mustRevoke(login)
}

// When the owner role cannot take over, nothing is dropped.
func TestRevokeDropsNothingItCannotReassign(t *testing.T) {
	k := open(t, nil)
	precious := fresh("precious")
	values := map[string]any{"member_of": postgrestest.WriteRole, "owner_role": "nobody_of_that_name"}
	login, made := k.create(values)
	conn := k.connect(made, postgrestest.Database)
	if _, err := conn.Exec(t.Context(), "CREATE TABLE "+precious+" AS SELECT 1 AS n"); err != nil {
		t.Fatal(err)
	}
	err := k.Revoke(t.Context(), []providers.Login{login})[login.Name]
	if got := kindOf(t, err); got != providers.KindRejected {
		t.Errorf("got kind %s, want rejected: %v", got, err)
	}
	if got := query[string](t, server, postgrestest.Database, "SELECT tableowner::text FROM pg_tables WHERE tablename = $1", precious); got != string(login.Name) {
		t.Errorf("precious belongs to %q, want still %q", got, login.Name)
	}
	delete(values, "owner_role")
	login.Options = options(t, values)
	k.mustRevoke(login)
	if got := query[int](t, server, postgrestest.Database, "SELECT count(*)::int FROM "+precious); got != 1 {
		t.Errorf("precious has %d rows, want 1", got)
	}
}

func TestRevokeEndsSessions(t *testing.T) {
	k := open(t, nil)
	login, made := k.create(nil)
	idle, busy := k.connect(made, postgrestest.Database), k.connect(made, "postgres")
	done := make(chan error, 1)
	go func() {
		_, err := busy.Exec(context.WithoutCancel(t.Context()), "SELECT pg_sleep(60)")
		done <- err
	}()
	k.mustRevoke(login)
	if err := idle.Ping(t.Context()); err == nil {
		t.Error("an idle session lives on")
	}
	if err := <-done; err == nil {
		t.Error("a busy session ran to its end")
	}
}

// Whoever keeps logging in while the login is revoked has no session once Revoke has answered.
func TestRevokeRacesLogIns(t *testing.T) {
	k := open(t, nil)
	for range 5 {
		login, made := k.create(nil)
		oid := query[uint32](t, server, "postgres", "SELECT oid FROM pg_roles WHERE rolname = $1", string(login.Name))
		var mu sync.Mutex
		var conns []*pgx.Conn
		var wg sync.WaitGroup
		stop := make(chan struct{})
		for range 8 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					conn, err := server.Connect(context.Background(), made["username"].Reveal(), made["password"].Reveal(), postgrestest.Database)
					if err != nil {
						continue
					}
					mu.Lock()
					conns = append(conns, conn)
					mu.Unlock()
				}
			})
		}
		eventually(t, "some are logged in", func() bool { mu.Lock(); defer mu.Unlock(); return len(conns) > 20 })
		k.mustRevoke(login)
		if got := query[int](t, server, "postgres", "SELECT count(*)::int FROM pg_stat_activity WHERE usesysid = $1", oid); got != 0 {
			t.Errorf("%d sessions live on after the revoke was answered", got)
		}
		close(stop)
		wg.Wait()
		for _, conn := range conns {
			if err := conn.Ping(context.Background()); err == nil {
				t.Error("a session lives on")
			}
			conn.Close(context.Background())
		}
	}
}

func TestRevokeManyAtOnce(t *testing.T) {
	k := open(t, nil)
	var logins []providers.Login
	for range 200 {
		login, _ := k.create(nil)
		logins = append(logins, login)
	}
	begun := time.Now()
	k.mustRevoke(logins...)
	took := time.Since(begun)
	t.Logf("revoking 200 logins took %v", took)
	if took > 10*time.Second {
		t.Errorf("revoking 200 logins took %v", took)
	}
	for found, err := range k.List(t.Context(), k.prefix) {
		t.Errorf("left: %s, %v", found.Name, err)
	}
}

// Two Backends that revoke the same logins, in opposite orders and half overlapping, both come to an
// end, and between them nothing is left.
func TestRevokeOverlappingBatches(t *testing.T) {
	k := open(t, nil)
	var logins []providers.Login
	for range 30 {
		login, _ := k.create(nil)
		logins = append(logins, login)
	}
	first, second := slices.Clone(logins[:20]), slices.Clone(logins[10:])
	slices.Reverse(second)
	other := k.again(1)
	var wg sync.WaitGroup
	for b, batch := range map[providers.Backend][]providers.Login{k.Backend: first, other: second} {
		wg.Go(func() {
			// Each repeats what the other was in the way of, as the broker does.
			for len(batch) > 0 {
				answers := b.Revoke(t.Context(), batch)
				batch = slices.DeleteFunc(batch, func(login providers.Login) bool {
					err, answered := answers[login.Name]
					return answered && err == nil
				})
				if t.Context().Err() != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	for found, err := range k.List(t.Context(), k.prefix) {
		t.Errorf("left: %s, %v", found.Name, err)
	}
}

func TestRevocationStatements(t *testing.T) {
	k := open(t, nil)
	good, _ := k.create(map[string]any{"member_of": postgrestest.ReadRole,
		"revocation_statements": []any{"REVOKE " + postgrestest.ReadRole + " FROM {{name}}", "DROP ROLE {{name}}"}})
	lazy, made := k.create(map[string]any{"member_of": postgrestest.ReadRole,
		"revocation_statements": []any{"REVOKE " + postgrestest.ReadRole + " FROM {{name}}"}})
	conn := k.connect(made, postgrestest.Database)
	answers := k.Revoke(t.Context(), []providers.Login{good, lazy})
	if err := answers[good.Name]; err != nil {
		t.Errorf("revoking with own statements: %v", err)
	}
	if got := kindOf(t, answers[lazy.Name]); got != providers.KindRejected {
		t.Errorf("statements that leave the role: got kind %s, want rejected: %v", got, answers[lazy.Name])
	}
	if err := conn.Ping(t.Context()); err == nil {
		t.Error("own statements let a session live on")
	}
	lazy.Options = options(t, map[string]any{"member_of": postgrestest.ReadRole})
	k.mustRevoke(lazy)
}

// A log-in that the server had allowed when log-ins were stopped, and that takes long to become a
// session that can be seen, does not survive the revoke.
func TestRevokeWaitsForSlowLogIn(t *testing.T) {
	own := postgrestest.Start(t)
	k := openAt(t, own, own.MustPrepare(t), nil)
	login, made := k.create(nil)
	watcher, err := own.Superuser(t.Context(), "postgres")
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Close(context.Background())
	count := func(sql string) (n int) {
		t.Helper()
		if err := watcher.QueryRow(t.Context(), sql).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	// The server's own means of holding a log-in after the check of its role.
	own.MustExec(t, "postgres", "ALTER SYSTEM SET post_auth_delay = 1", "SELECT pg_reload_conf()")
	eventually(t, "the delay is in force", func() bool {
		return count("SELECT count(*) FROM pg_file_settings WHERE name = 'post_auth_delay' AND applied") == 1
	})
	inStart := func() bool {
		return count("SELECT count(*) FROM pg_locks WHERE locktype = 'object' AND classid = 'pg_database'::regclass AND pid <> pg_backend_pid()") > 0
	}
	logged := make(chan *pgx.Conn, 1)
	go func() {
		conn, err := own.Connect(context.Background(), made["username"].Reveal(), made["password"].Reveal(), postgrestest.Database)
		if err != nil {
			conn = nil
		}
		logged <- conn
	}()
	eventually(t, "a log-in is held", inStart)
	k.mustRevoke(login)
	if n := count("SELECT count(*) FROM pg_stat_activity WHERE usesysid IS NOT NULL AND usename IS NULL"); n != 0 {
		t.Errorf("%d sessions of a role that is gone", n)
	}
	if inStart() {
		t.Error("the revoke was answered while the log-in was still held")
	}
	if conn := <-logged; conn != nil {
		if err := conn.Ping(context.Background()); err == nil {
			t.Error("the session lives on")
		}
		conn.Close(context.Background())
	}
}
