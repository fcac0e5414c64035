package mysql_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"broker/providers"
	"broker/providers/mysql/mysqltest"
)

// A session that works, one that holds a transaction, and one that waits: all end with the login.
func TestRevokeEndsBusySessions(t *testing.T) {
	k := open(t, nil)
	login, values := k.create(map[string]any{"grants": "SELECT, INSERT ON orders.*"})
	ended := make(chan error, 2)
	for _, sql := range []string{"SELECT SLEEP(60)", "SELECT BENCHMARK(20000000000, SHA2('x', 512))"} {
		conn := k.connect(values)
		go func() {
			_, err := conn.ExecContext(t.Context(), sql)
			ended <- err
		}()
	}
	writer := k.connect(values)
	for _, sql := range []string{"BEGIN", "INSERT INTO orders.orders (customer) VALUES ('uncommitted')"} {
		if _, err := writer.ExecContext(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	count := "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = ?"
	eventually(t, "all three sessions are there", func() bool { return query[int](t, server, count, string(login.Name)) == 3 })
	if err := k.revoke(login); err != nil {
		t.Fatalf("revoking: %v", err)
	}
	if n := query[int](t, server, count, string(login.Name)); n > 0 {
		t.Errorf("%d sessions outlived the revoke", n)
	}
	<-ended
	<-ended
	if _, err := writer.ExecContext(t.Context(), "COMMIT"); err == nil {
		t.Error("a transaction was committed after the revoke")
	}
}

// A log-in that hangs, which may have passed the look at its account, is ended and does not keep the revoke from its end.
func TestRevokeBesideALogInThatHangs(t *testing.T) {
	k := open(t, nil)
	login, _ := k.create(nil)
	hanging, err := net.Dial("tcp", server.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer hanging.Close()
	one := make([]byte, 1)
	if _, err := hanging.Read(one); err != nil { // the greeting, which is not answered
		t.Fatal(err)
	}
	if err := k.revoke(login); err != nil {
		t.Fatalf("revoking: %v", err)
	}
	if err := hanging.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := hanging.Read(one); err != nil {
			if e, ok := err.(net.Error); ok && e.Timeout() {
				t.Error("a log-in under way outlived the revoke")
			}
			return
		}
	}
}

// Somebody dropped the account, which ends no session of it.
func TestRevokeEndsSessionsOfADroppedAccount(t *testing.T) {
	k := open(t, nil)
	login, values := k.create(nil)
	conn := k.connect(values)
	server.MustExec(t, "DROP USER '"+string(login.Name)+"'@'%'")
	if err := conn.PingContext(t.Context()); err != nil {
		t.Fatalf("the server ended the session itself: %v", err)
	}
	if err := k.revoke(login); err != nil {
		t.Fatalf("revoking: %v", err)
	}
	if err := conn.PingContext(t.Context()); err == nil {
		t.Error("the session outlived the revoke")
	}
}

// Whatever accounts a name has, all go.
func TestRevokeEveryHost(t *testing.T) {
	k := open(t, nil)
	grant := k.grant(map[string]any{"creation_statements": "GRANT SELECT ON orders.* TO {{name}}@{{host}}"})
	if _, err := k.Create(t.Context(), grant); err != nil {
		t.Fatal(err)
	}
	k.removeAtEnd(grant.Login)
	server.MustExec(t, "CREATE USER '"+string(grant.Name)+"'@'10.%' IDENTIFIED BY 'Something-1'")
	if err := k.revoke(grant.Login); err != nil {
		t.Fatalf("revoking: %v", err)
	}
	if left, err := server.Logins(t.Context(), k.prefix); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}

func TestRevocationStatements(t *testing.T) {
	k := open(t, nil)
	withOwn := func(statements ...any) providers.Login {
		login, _ := k.create(map[string]any{"roles": mysqltest.ReadRole, "revocation_statements": statements})
		return login
	}
	fine := withOwn("DROP USER {{name}}@{{host}}")
	leaves := withOwn("DO 1")
	fails := withOwn("DROP TABLE orders.zz_nothing", "DROP USER {{name}}@{{host}}")
	plain, _ := k.create(nil)
	answers := k.Revoke(t.Context(), []providers.Login{fine, leaves, fails, plain})
	if answers[fine.Name] != nil || answers[plain.Name] != nil {
		t.Errorf("revoking beside those that fail: %v, %v", answers[fine.Name], answers[plain.Name])
	}
	if e := want(t, providers.KindRejected, answers[leaves.Name], "statements that leave the account"); !strings.Contains(e.Error(), "left it") {
		t.Errorf("got %v", e)
	}
	want(t, providers.KindRejected, answers[fails.Name], "statements that fail")
	for _, login := range []providers.Login{leaves, fails} {
		if _, isLocked := locked(t, login); !isLocked {
			t.Errorf("%s is not locked", login.Name)
		}
	}
}

// Two leaders revoke the same logins at the same time.
func TestRevokeTwiceAtOnce(t *testing.T) {
	k := open(t, nil)
	var logins []providers.Login
	for range 20 {
		login, _ := k.create(nil)
		logins = append(logins, login)
	}
	answers := make(chan map[providers.LoginName]error, 2)
	for _, b := range []providers.Backend{k.Backend, k.with(providers.Env{Term: 2})} {
		go func() { answers <- b.Revoke(t.Context(), logins) }()
	}
	for range 2 {
		got := <-answers
		for _, login := range logins {
			if err, answered := got[login.Name]; err != nil || !answered {
				t.Errorf("%s: answered %v, %v", login.Name, answered, err)
			}
		}
	}
}

// A login of that name that another cluster made is listed as such.
func TestListTellsWhose(t *testing.T) {
	k := open(t, nil)
	login, _ := k.create(nil)
	foreign := providers.Login{Name: providers.LoginName(k.prefix + "foreign")}
	server.MustExec(t, "CREATE USER '"+string(foreign.Name)+"'@'%' IDENTIFIED BY 'Something-1' ACCOUNT LOCK")
	k.removeAtEnd(foreign)
	found := map[providers.LoginName]bool{}
	for f, err := range k.List(t.Context(), k.prefix) {
		if err != nil {
			t.Fatal(err)
		}
		found[f.Name] = f.Ours
	}
	if ours, listed := found[login.Name]; !listed || !ours {
		t.Errorf("our login: listed %v, ours %v", listed, ours)
	}
	if ours, listed := found[foreign.Name]; !listed || ours {
		t.Errorf("another's login: listed %v, ours %v", listed, ours)
	}
}
