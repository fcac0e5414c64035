package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"broker/providers"
	"broker/providers/postgres/postgrestest"
)

// reader begins a transaction of the superuser in the leases' database.
func reader(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := server.Superuser(t.Context(), postgrestest.Database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	if _, err := conn.Exec(t.Context(), "BEGIN"); err != nil {
		t.Fatal(err)
	}
	return conn
}

// withTable makes a login that owns a table and, if by is not nil, a transaction that reads that.
func (k *kit) withTable(by *pgx.Conn) providers.Login {
	k.t.Helper()
	login, made := k.create(map[string]any{"member_of": postgrestest.WriteRole})
	table := fresh("held")
	if _, err := k.connect(made, postgrestest.Database).Exec(k.t.Context(), "CREATE TABLE "+table+" (n int)"); err != nil {
		k.t.Fatal(err)
	}
	if by != nil {
		if _, err := by.Exec(k.t.Context(), "SELECT FROM "+table); err != nil {
			k.t.Fatal(err)
		}
	}
	return login
}

// A long transaction reads tables of some leased users. It delays their revoking and that of no other,
// also when the call ends before all of them have waited for it.
func TestRevokePastLocks(t *testing.T) {
	for _, limit := range []time.Duration{30 * time.Second, 3 * time.Second} {
		k := open(t, nil)
		long := reader(t)
		var blocked []providers.Login
		for range 8 {
			blocked = append(blocked, k.withTable(long))
		}
		owning := k.withTable(nil)
		healthy, _ := k.create(nil)
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		begun := time.Now()
		answers := k.Revoke(ctx, append([]providers.Login{owning, healthy}, blocked...))
		ended := ctx.Err()
		cancel()
		if ended != nil {
			t.Errorf("the call used up its %v", limit)
		}
		if took := time.Since(begun); took > 15*time.Second {
			t.Errorf("the call took %v: whoever has more to revoke waits", took)
		}
		for what, login := range map[string]providers.Login{"owns nothing": healthy, "owns what nobody reads": owning} {
			if err, answered := answers[login.Name]; err != nil || !answered {
				t.Errorf("within %v, a login that %s: answered %v, %v", limit, what, answered, err)
			}
		}
		for _, login := range blocked {
			if err := answers[login.Name]; kindOf(t, err) != providers.KindUnavailable {
				t.Errorf("within %v, a login whose table is read: got %v, want unavailable", limit, err)
			}
		}
		if _, err := long.Exec(t.Context(), "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
		k.mustRevoke(blocked...)
	}
}

// A lock that is given back within the time that a statement waits is no failure.
func TestRevokeWaitsForLock(t *testing.T) {
	k := open(t, nil)
	long := reader(t)
	login := k.withTable(long)
	answered := make(chan error, 1)
	go func() {
		answers := k.Revoke(context.WithoutCancel(t.Context()), []providers.Login{login})
		err, ok := answers[login.Name]
		if !ok {
			err = errors.New("no answer")
		}
		answered <- err
	}()
	const waiting = `SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE NOT l.granted AND a.usename = $1 AND a.query LIKE '%' || $2 || '%' AND l.waitstart < clock_timestamp() - interval '300 ms')`
	eventually(t, "the revoke has waited", func() bool {
		return query[bool](t, server, postgrestest.Database, waiting, postgrestest.RootName, string(login.Name))
	})
	if _, err := long.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Errorf("revoking a login whose table was read: %v", err)
	}
}

// One that fails in a shared transaction takes none with it, wherever it stands.
func TestRenewPastLocks(t *testing.T) {
	k := open(t, nil)
	var logins []providers.Login
	for range 7 {
		login, _ := k.create(nil)
		login.ExpiresAt = login.ExpiresAt.Add(time.Hour)
		logins = append(logins, login)
	}
	long := reader(t)
	held := map[providers.LoginName]bool{}
	for _, i := range []int{0, 3, 4, 6} {
		held[logins[i].Name] = true
		if _, err := long.Exec(t.Context(), `ALTER ROLE "`+string(logins[i].Name)+`" CONNECTION LIMIT 3`); err != nil {
			t.Fatal(err)
		}
	}
	answers := k.Renew(t.Context(), logins)
	for _, login := range logins {
		err, answered := answers[login.Name]
		switch {
		case !answered:
			t.Errorf("%s: no answer", login.Name)
		case held[login.Name] && kindOf(t, err) != providers.KindUnavailable:
			t.Errorf("%s is held: got %v, want unavailable", login.Name, err)
		case !held[login.Name] && err != nil:
			t.Errorf("%s is not held: %v", login.Name, err)
		}
	}
	if _, err := long.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	k.mustRevoke(logins...)
}
