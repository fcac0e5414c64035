package postgres_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"broker/providers"
	"broker/providers/postgres"
	"broker/providers/postgres/postgrestest"
)

func TestRefusals(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closedPort := listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	weak, deaf := fresh("weak"), fresh("deaf")
	server.MustExec(t, "postgres",
		"CREATE ROLE "+weak+" LOGIN PASSWORD 'weak-password'",
		"CREATE ROLE "+deaf+" LOGIN CREATEROLE PASSWORD 'deaf-password'")
	tests := []struct {
		name      string
		overrides map[string]any
		kind      providers.Kind
		notSent   bool
		text      string
	}{
		{"wrong root password", map[string]any{"password": "canary-wrong"}, providers.KindRejected, true, "password of the root account"},
		{"no such database", map[string]any{"database": "nowhere"}, providers.KindRejected, true, "nowhere"},
		{"nothing listens", map[string]any{"port": closedPort}, providers.KindUnavailable, true, "refused"},
		{"metadata address", map[string]any{"host": "169.254.169.254", "sslmode": "disable"}, providers.KindRejected, true, "link-local"},
		{"no TLS there", map[string]any{"sslmode": "verify-full"}, providers.KindRejected, true, "TLS"},
		{"no CREATEROLE", map[string]any{"username": weak, "password": "weak-password"}, providers.KindRejected, false, "CREATEROLE"},
		{"no pg_signal_backend", map[string]any{"username": deaf, "password": "deaf-password"}, providers.KindRejected, false, "pg_signal_backend"},
	}
	for _, test := range tests {
		k := open(t, test.overrides)
		_, err := k.Check(t.Context())
		var e *providers.Error
		if !errors.As(err, &e) {
			t.Errorf("%s: got %v, want an error", test.name, err)
			continue
		}
		if e.Kind != test.kind || e.NotSent != test.notSent || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: got %s, not sent %v, %q", test.name, e.Kind, e.NotSent, err)
		}
		if strings.Contains(err.Error()+e.Hint, "canary") {
			t.Errorf("%s: the error holds the password", test.name)
		}
	}
}

func TestCheckOptions(t *testing.T) {
	k := open(t, nil)
	almighty, stranger := fresh("almighty"), fresh("stranger")
	server.MustExec(t, "postgres", "CREATE ROLE "+almighty+" SUPERUSER NOLOGIN", "CREATE ROLE "+stranger+" NOLOGIN")
	problems, err := providers.CheckOptions(t.Context(), k.Backend, options(t, map[string]any{
		"member_of": []any{postgrestest.ReadRole, "missing_role", almighty}, "owner_role": stranger,
	}))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range problems {
		got = append(got, p.Error())
	}
	want := []string{"role \"" + almighty + "\" is a superuser", "\"missing_role\" does not exist", "no member of role \"" + stranger}
	if len(got) != len(want) {
		t.Fatalf("got %q, want %d problems", got, len(want))
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("problem %d: got %q, want %q in it", i, got[i], want[i])
		}
	}
}

func TestServerDownAndPaused(t *testing.T) {
	own := postgrestest.Start(t)
	k := openAt(t, own, own.MustPrepare(t), map[string]any{"connect_timeout": "2s"})
	login, made := k.create(nil)

	if err := own.Pause(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	begun := time.Now()
	err := k.Revoke(ctx, []providers.Login{login})[login.Name]
	cancel()
	if err == nil {
		t.Error("a revoke at a server that hangs is answered with success")
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("a call whose context ended came back after %v", took)
	}
	if err := own.Resume(); err != nil {
		t.Fatal(err)
	}

	if err := own.Stop(); err != nil {
		t.Fatal(err)
	}
	_, err = k.Create(t.Context(), k.grant(nil))
	var e *providers.Error
	if !errors.As(err, &e) || e.Kind != providers.KindUnavailable || !e.NotSent {
		t.Errorf("creating at a server that is down: got %#v, want unavailable and not sent", err)
	}
	if err := own.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := own.LogIn(t.Context(), made["username"].Reveal(), made["password"].Reveal(), postgrestest.Database); err != nil {
		t.Errorf("logging in after the server came back: %v", err)
	}
	k.mustRevoke(login)
}

// When the answer to COMMIT is lost the outcome is unknown, whatever it was.
func TestCommitAnswerLost(t *testing.T) {
	proxy := newProxy(t, server.Port)
	k := open(t, map[string]any{"port": proxy.port, "sslmode": "disable"})
	if _, err := k.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	grant := k.grant(nil)
	proxy.cutAtCommit.Store(true)
	_, err := k.Create(t.Context(), grant)
	proxy.cutAtCommit.Store(false)
	if got := kindOf(t, err); got != providers.KindUnknown {
		t.Errorf("got kind %s, want unknown: %v", got, err)
	}
	if !query[bool](t, server, "postgres", "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", string(grant.Name)) {
		t.Fatal("the create was not committed: the test proves nothing")
	}
	proxy.cutAtCommit.Store(true)
	err = k.Revoke(t.Context(), []providers.Login{grant.Login})[grant.Name]
	proxy.cutAtCommit.Store(false)
	if err == nil {
		t.Error("a revoke whose COMMIT was not answered is answered with success")
	}
	k.mustRevoke(grant.Login)
}

func TestWarnings(t *testing.T) {
	tests := []struct {
		settings providers.Settings
		want     string
	}{
		{providers.Settings{"host": "127.0.0.1"}, ""},
		{providers.Settings{"host": "localhost", "sslmode": "disable"}, ""},
		{providers.Settings{"host": "db.internal"}, ""},
		{providers.Settings{"host": "db.internal", "sslmode": "verify-full"}, ""},
		{providers.Settings{"host": "db.internal", "sslmode": "verify-ca"}, "name in the server's certificate"},
		{providers.Settings{"host": "db.internal", "sslmode": "require"}, "certificate is not checked"},
		{providers.Settings{"host": "10.0.0.1", "sslmode": "disable"}, "nothing is encrypted"},
	}
	for _, test := range tests {
		got := strings.Join(providers.Warnings(postgres.Provider{}, test.settings), "\n")
		if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%v: got %q, want %q in it", test.settings, got, test.want)
		}
	}
}
