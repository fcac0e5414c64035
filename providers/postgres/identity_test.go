package postgres_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"broker/providers"
	"broker/providers/postgres/postgrestest"
)

// refusals makes every call but Check and returns the error of each by its name.
func refusals(t *testing.T, b providers.Backend, k *kit, login providers.Login) map[string]error {
	t.Helper()
	batch := []providers.Login{login}
	_, create := b.Create(t.Context(), k.grant(nil))
	_, options := providers.CheckOptions(t.Context(), b, login.Options)
	var list error
	for found, err := range b.List(t.Context(), k.prefix) {
		if list = err; err == nil {
			t.Errorf("List yields %s", found.Name)
		}
	}
	return map[string]error{
		"Create": create, "CheckOptions": options, "List": list,
		"Renew":         b.Renew(t.Context(), batch)[login.Name],
		"Revoke":        b.Revoke(t.Context(), batch)[login.Name],
		"ConfirmAbsent": b.ConfirmAbsent(t.Context(), batch, time.Now().Add(-time.Minute))[login.Name],
	}
}

// wantRefused wants every call to have failed before anything was sent, with the words in its text.
func wantRefused(t *testing.T, errs map[string]error, words ...string) {
	t.Helper()
	for _, call := range slices.Sorted(maps.Keys(errs)) {
		var e *providers.Error
		if err := errs[call]; !errors.As(err, &e) || e.Kind != providers.KindUnavailable || !e.NotSent || e.Hint == "" {
			t.Errorf("%s: got %#v, want unavailable, not sent, with a hint", call, err)
			continue
		}
		for _, word := range words {
			if !strings.Contains(e.Error(), word) {
				t.Errorf("%s: got %q, want %q in it", call, e, word)
			}
		}
	}
}

// The address of the connection comes to mean a standby that is behind: the login is absent there and
// lives on at the primary.
func TestStandbyIsNoWitness(t *testing.T) {
	primary := postgrestest.Start(t)
	password := primary.MustPrepare(t)
	standby := postgrestest.StartStandby(t, primary)
	standby.MustExec(t, "postgres", "SELECT pg_wal_replay_pause()")
	paused := func() bool {
		return query[string](t, standby, "postgres", "SELECT pg_get_wal_replay_pause_state()") == "paused"
	}
	eventually(t, "the standby is behind", paused)
	proxy := newProxy(t, primary.Port)
	k := openAt(t, primary, password, map[string]any{"port": proxy.port, "sslmode": "disable"})
	identity, err := k.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	login, made := k.create(nil)

	proxy.lead(standby.Port)
	for _, known := range []providers.SystemID{"", identity} {
		b := k.knowing(2, known)
		wantRefused(t, refusals(t, b, k, login), "standby")
		if _, err := b.Check(t.Context()); kindOf(t, err) != providers.KindUnavailable {
			t.Errorf("checking a standby: got %v, want unavailable", err)
		}
	}
	k.connect(made, postgrestest.Database)

	// Promoted, it is the system that is meant, and the same Backend serves.
	b := k.knowing(3, identity)
	if err := b.Revoke(t.Context(), []providers.Login{login})[login.Name]; kindOf(t, err) != providers.KindUnavailable {
		t.Errorf("revoking at the standby: got %v, want unavailable", err)
	}
	eventually(t, "the login has come to the standby", func() bool {
		return query[bool](t, standby, "postgres", "SELECT pg_last_wal_receive_lsn() >= $1::pg_lsn",
			query[string](t, primary, "postgres", "SELECT pg_current_wal_flush_lsn()::text"))
	})
	if err := primary.Stop(); err != nil {
		t.Fatal(err)
	}
	standby.MustExec(t, "postgres", "SELECT pg_wal_replay_resume()", "SELECT pg_promote()")
	if err, answered := b.Revoke(t.Context(), []providers.Login{login})[login.Name]; err != nil || !answered {
		t.Errorf("revoking at the promoted standby: answered %v, %v", answered, err)
	}
	if query[bool](t, standby, "postgres", "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", string(login.Name)) {
		t.Error("the login is still there")
	}
}

// The address of the connection comes to mean another server, where of course the login is absent.
func TestAnotherSystemIsNoWitness(t *testing.T) {
	another := postgrestest.Start(t)
	// The same root account and groups, so that nothing but its identity tells it apart.
	another.MustPrepare(t)
	another.MustExec(t, "postgres", "ALTER ROLE "+postgrestest.RootName+" PASSWORD '"+rootPassword+"'")
	proxy := newProxy(t, server.Port)
	k := open(t, map[string]any{"port": proxy.port, "sslmode": "disable"})
	identity, err := k.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b := k.knowing(2, identity)
	login, made := k.create(nil)
	if err := b.Renew(t.Context(), []providers.Login{login})[login.Name]; err != nil {
		t.Errorf("renewing at the system that is meant: %v", err)
	}

	proxy.lead(another.Port)
	var found providers.SystemID
	eventually(t, "Check names the other system", func() bool {
		found, err = b.Check(t.Context()) // the connections of the pool are dead
		return err == nil && found != identity
	})
	wantRefused(t, refusals(t, b, k, login), string(identity), string(found))
	k.connect(made, postgrestest.Database)

	another.MustExec(t, postgrestest.Database, "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
	wantRefused(t, refusals(t, b, k, login), "read its identity", string(identity))
	// Nobody can prove an address, which is all that was known of such a server from its birth.
	if err := k.knowing(2, "postgresql-at-127.0.0.1:5432").Renew(t.Context(), []providers.Login{login})[login.Name]; kindOf(t, err) != providers.KindRejected {
		t.Errorf("renewing where no identity can be proved: got %v, want rejected, since there is no such role", err)
	}

	proxy.lead(server.Port)
	eventually(t, "the login is revoked", func() bool {
		err, answered := b.Revoke(t.Context(), []providers.Login{login})[login.Name]
		return answered && err == nil
	})
	if err := server.LogIn(context.Background(), made["username"].Reveal(), made["password"].Reveal(), postgrestest.Database); err == nil {
		t.Error("the login still logs in")
	}
}
