package mysql_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"broker/providers"
	"broker/providers/mysql/mysqltest"
)

// locked asks whether the account is there and locked.
func locked(t *testing.T, login providers.Login) (exists, isLocked bool) {
	t.Helper()
	if query[int](t, server, "SELECT COUNT(*) FROM mysql.user WHERE User = ?", string(login.Name)) == 0 {
		return false, false
	}
	made := query[string](t, server, "SHOW CREATE USER '"+string(login.Name)+"'@'%'")
	return true, strings.Contains(made, "ACCOUNT LOCK")
}

// What is half made can do nothing, whatever it lacks.
func TestHalfMadeIsLocked(t *testing.T) {
	k := open(t, nil)
	for what, options := range map[string]map[string]any{
		"a role that does not exist":    {"roles": "zz_no_such_role"},
		"a table that does not exist":   {"roles": mysqltest.ReadRole, "grants": "SELECT ON orders.zz_nothing"},
		"a statement that is refused":   {"creation_statements": "GRANT SELECT ON mysql.* TO {{name}}@{{host}}"},
		"a privilege that root has not": {"grants": "SELECT ON sys.*"},
		"a privilege that is none":      {"grants": "SELEKT ON orders.*"},
	} {
		grant := k.grant(options)
		k.removeAtEnd(grant.Login)
		_, err := k.Create(t.Context(), grant)
		if e := want(t, providers.KindRejected, err, what); e.Hint == "" {
			t.Errorf("%s: no hint: %v", what, err)
		} else if what == "a privilege that root has not" && !strings.Contains(e.Hint, "GRANT SELECT ON `sys`.* TO it WITH GRANT OPTION") {
			t.Errorf("%s: the hint is %q", what, e.Hint)
		}
		if exists, isLocked := locked(t, grant.Login); !exists || !isLocked {
			t.Errorf("%s: the account exists %v and is locked %v, want both", what, exists, isLocked)
		}
		want(t, providers.KindExists, k.confirm(grant.Login), what+": confirming absence")
		if err := k.revoke(grant.Login); err != nil {
			t.Errorf("%s: revoking: %v", what, err)
		}
	}
}

// The deadline is looked at once more before the login may be used.
func TestDeadlinePassesMeanwhile(t *testing.T) {
	k := open(t, nil)
	grant := k.grant(map[string]any{"creation_statements": "DO SLEEP(0.8)"})
	grant.Deadline = time.Now().Add(400 * time.Millisecond)
	k.removeAtEnd(grant.Login)
	_, err := k.Create(t.Context(), grant)
	want(t, providers.KindRejected, err, "a create that takes longer than it may")
	if exists, isLocked := locked(t, grant.Login); !exists || !isLocked {
		t.Errorf("the account exists %v and is locked %v, want both", exists, isLocked)
	}
}

// A create that was given up goes on at the server. Its absence is confirmed only when it can do nothing more.
func TestCreateGivenUp(t *testing.T) {
	k := open(t, nil)
	grant := k.grant(map[string]any{"creation_statements": []any{"DO SLEEP(30)", "DO 1"}})
	k.removeAtEnd(grant.Login)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err := k.Create(ctx, grant)
	want(t, providers.KindUnknown, err, "a create that was given up")
	if err := k.revoke(grant.Login); err != nil {
		t.Fatalf("revoking: %v", err)
	}
	if err := k.confirm(grant.Login); err == nil {
		t.Error("absence was confirmed while the session that makes it lives")
	}
	eventually(t, "its session has ended and absence is confirmed", func() bool { return k.confirm(grant.Login) == nil })
	if exists, _ := locked(t, grant.Login); exists {
		t.Error("the account is there")
	}
}

// A leader that stands still between the look at the clock and the rest is ended, not waited for.
func TestConfirmAbsentEndsACreateThatStandsStill(t *testing.T) {
	k := open(t, nil)
	login := k.grant(nil).Login
	leader := server.Connect(mysqltest.RootName, k.settings.String("password"), "")
	defer leader.Close()
	stalled, err := leader.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stalled.Close()
	if _, err := stalled.ExecContext(t.Context(), "DO GET_LOCK('broker."+string(login.Name)+"', 0)"); err != nil {
		t.Fatal(err)
	}
	other := k.grant(nil).Login
	answers := k.ConfirmAbsent(t.Context(), []providers.Login{login, other}, time.Now().Add(-time.Second))
	e := want(t, providers.KindUnknown, answers[login.Name], "confirming absence beside an open create")
	if !e.Blocked {
		t.Error("it is not said that this one login is blocked")
	}
	if err := answers[other.Name]; err != nil {
		t.Errorf("another login: %v", err)
	}
	if _, err := stalled.ExecContext(t.Context(), "CREATE USER '"+string(login.Name)+"'@'%'"); err == nil {
		t.Error("the create went on after its session was told to end")
	}
	eventually(t, "absence is confirmed", func() bool { return k.confirm(login) == nil })
}

func TestGrants(t *testing.T) {
	k := open(t, nil)
	server.MustExec(t, "CREATE DATABASE IF NOT EXISTS ordersX", "CREATE DATABASE IF NOT EXISTS `orders_`",
		"GRANT SELECT ON `orders\\_`.* TO '"+mysqltest.RootName+"'@'%' WITH GRANT OPTION")
	_, values := k.create(map[string]any{"grants": []any{"select (id), insert (customer) on orders.orders", "SELECT ON `orders_`.*"}})
	conn := k.connect(values)
	run := func(sql string) error {
		_, err := conn.ExecContext(t.Context(), sql)
		return err
	}
	for sql, allowed := range map[string]bool{
		"DO (SELECT COUNT(id) FROM orders.orders)":                                true,
		"INSERT INTO orders.orders (customer) SELECT 'Barbara' FROM DUAL WHERE 0": true,
		"DO (SELECT COUNT(customer) FROM orders.orders)":                          false,
		"DELETE FROM orders.orders":                                               false,
		"USE orders_":                                                             true,
		"USE ordersX":                                                             false, // an underscore stands for itself
	} {
		if err := run(sql); (err == nil) != allowed {
			t.Errorf("%s: got %v, allowed should be %v", sql, err, allowed)
		}
	}
}

func TestRequireTLSAndHost(t *testing.T) {
	k := open(t, nil)
	_, values := k.create(map[string]any{"roles": mysqltest.ReadRole, "require_tls": true, "connection_limit": 1})
	username, password := values["username"].Reveal(), values["password"].Reveal()
	clear := server.ConnectInClear(username, password, "")
	defer clear.Close()
	if err := clear.PingContext(t.Context()); err == nil {
		t.Error("a log-in in clear was accepted")
	}
	k.connect(values)
	second := server.Connect(username, password, "")
	defer second.Close()
	if err := second.PingContext(t.Context()); err == nil {
		t.Error("a second session was accepted")
	}

	_, values = k.create(map[string]any{"roles": mysqltest.ReadRole, "host": "192.0.2.%"})
	elsewhere := server.Connect(values["username"].Reveal(), values["password"].Reveal(), "")
	defer elsewhere.Close()
	if err := elsewhere.PingContext(t.Context()); err == nil {
		t.Error("a log-in from another host was accepted")
	}
}

// The server's own logs do not learn what opens a login.
func TestPasswordIsInNoLog(t *testing.T) {
	k := open(t, map[string]any{"password": server.Connection()["password"]})
	_, values := k.create(map[string]any{"roles": mysqltest.ReadRole, "grants": "SELECT ON orders.*"})
	if err := providers.LogIn(t.Context(), k.Backend, values); err != nil {
		t.Fatal(err)
	}
	server.MustExec(t, "FLUSH LOGS")
	files, err := filepath.Glob(filepath.Join(server.Dir, "data", "binlog.*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no binary logs: %v", err)
	}
	for _, file := range append(files, server.StatementLog(), server.LogFile()) {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(content), values["password"].Reveal()) {
			t.Errorf("%s holds the password", filepath.Base(file))
		}
		if file == server.StatementLog() && !strings.Contains(string(content), values["username"].Reveal()) {
			t.Error("the statements' log does not hold the name: the test proves nothing")
		}
	}
	if !server.MariaDB {
		sql := "SELECT COUNT(*) FROM performance_schema.events_statements_history WHERE SQL_TEXT LIKE CONCAT('%', ?, '%')"
		if query[int](t, server, sql, values["password"].Reveal()) > 0 {
			t.Error("the server's history of statements holds the password")
		}
	}
}
