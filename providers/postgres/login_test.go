package postgres_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"

	"broker/providers"
	"broker/providers/postgres"
	"broker/providers/postgres/postgrestest"
)

// A log-in is accepted while the login lives, and refused for what is wrong with it, with a hint that fits.
func TestLogIn(t *testing.T) {
	k := open(t, nil)
	login, values := k.create(nil)
	if err := providers.LogIn(t.Context(), k.Backend, values); err != nil {
		t.Fatalf("a login that lives: %v", err)
	}
	closed := fresh("closed")
	server.MustExec(t, "postgres", "CREATE DATABASE "+closed, "REVOKE CONNECT ON DATABASE "+closed+" FROM PUBLIC")
	defer server.MustExec(t, "postgres", "DROP DATABASE "+closed)
	for name, test := range map[string]struct {
		output, value, hint string
	}{
		"wrong password":          {"password", "not-the-leased-password", "pg_hba.conf"},
		"nobody":                  {"username", k.prefix + "nobody", "pg_hba.conf"},
		"a database closed to it": {"database", closed, "GRANT CONNECT ON DATABASE"},
		"no database":             {"database", "zz_nothing", "connection's database"},
	} {
		changed := maps.Clone(values)
		changed[test.output] = providers.NewSecret(test.value)
		err := providers.LogIn(t.Context(), k.Backend, changed)
		if err == nil || kindOf(t, err) != providers.KindRejected {
			t.Errorf("%s: got %v, want rejected", name, err)
			continue
		}
		var e *providers.Error
		errors.As(err, &e)
		if !strings.Contains(e.Hint, test.hint) || strings.Contains(err.Error(), values["password"].Reveal()) || !strings.Contains(err.Error(), server.Address()) {
			t.Errorf("%s: got %v, hint %q", name, err, e.Hint)
		}
	}
	k.mustRevoke(login)
	if err := providers.LogIn(t.Context(), k.Backend, values); err == nil || kindOf(t, err) != providers.KindRejected {
		t.Errorf("a login that was revoked: got %v, want rejected", err)
	}
	// At another system a refusal means nothing.
	elsewhere := k.knowing(1, "another system")
	if err := providers.LogIn(t.Context(), elsewhere, values); err == nil || kindOf(t, err) != providers.KindUnavailable {
		t.Errorf("at another system: got %v, want unavailable", err)
	}
}

// What the preview shows makes a login like the one that Create makes.
func TestPreviewIsWhatHappens(t *testing.T) {
	k := open(t, nil)
	asked := map[string]any{
		"member_of": postgrestest.ReadRole, "connection_limit": 3, "creation_statements": []any{"ALTER ROLE {{name}} SET search_path = 'it''s'"},
	}
	shown, made := k.grant(asked), k.grant(asked)
	made.ExpiresAt = shown.ExpiresAt
	if _, err := k.Create(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	defer k.mustRevoke(shown.Login, made.Login)
	steps := postgres.Provider{}.Preview(k.settings, shown.Options, shown.Name, shown.ExpiresAt)
	conn, err := server.Connect(t.Context(), postgrestest.RootName, rootPassword, postgrestest.Database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, sql := range steps {
		if strings.Contains(sql, rootPassword) {
			t.Errorf("a secret is shown: %s", sql)
		}
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	const sql = `SELECT concat_ws(' ', rolcanlogin, rolconnlimit, rolvaliduntil, (SELECT setconfig FROM pg_db_role_setting WHERE setrole = r.oid),
  ARRAY(SELECT roleid::regrole::text FROM pg_auth_members WHERE member = r.oid)) FROM pg_roles r WHERE rolname = $1`
	want := query[string](t, server, "postgres", sql, string(made.Name))
	if got := query[string](t, server, "postgres", sql, string(shown.Name)); got != want {
		t.Errorf("the preview made %s, Create made %s", got, want)
	}
	if got := len(steps); got != 6 {
		t.Errorf("%d steps: %q", got, steps)
	}
	// Options that no longer pass are shown as what they are.
	broken := (postgres.Provider{}).Preview(k.settings, providers.Options{"creation_statements": []any{"{{"}}, shown.Name, shown.ExpiresAt)
	if text := strings.Join(broken, "\n"); !strings.Contains(text, "-- creation_statements: ") {
		t.Errorf("got %s", text)
	}
}
