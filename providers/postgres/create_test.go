package postgres_test

import (
	"context"
	"errors"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"broker/providers"
	"broker/providers/postgres"
	"broker/providers/postgres/postgrestest"
)

func TestCreateMarksTheRole(t *testing.T) {
	k := open(t, nil)
	login, _ := k.create(map[string]any{"member_of": postgrestest.ReadRole, "grace": "2m", "connection_limit": 3})
	defer k.mustRevoke(login)
	name := string(login.Name)
	comment := query[string](t, server, "postgres", "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = $1", name)
	if !strings.Contains(comment, clusterID) || !strings.Contains(comment, "01J0POSTGRESTESTLEASE00000") {
		t.Errorf("comment %q lacks cluster or lease", comment)
	}
	if got := query[int](t, server, "postgres", "SELECT rolconnlimit FROM pg_roles WHERE rolname = $1", name); got != 3 {
		t.Errorf("connection limit: got %d, want 3", got)
	}
	validUntil := func() time.Time {
		return query[time.Time](t, server, "postgres", "SELECT rolvaliduntil FROM pg_roles WHERE rolname = $1", name)
	}
	if got, want := validUntil(), login.ExpiresAt.Add(2*time.Minute).Truncate(time.Microsecond); !got.Equal(want) {
		t.Errorf("VALID UNTIL: got %v, want %v", got, want)
	}
	for _, step := range []struct{ by, want time.Duration }{{time.Hour, time.Hour}, {30 * time.Minute, time.Hour}, {2 * time.Hour, 2 * time.Hour}} {
		renewed := login
		renewed.ExpiresAt = login.ExpiresAt.Add(step.by)
		if err := k.Renew(t.Context(), []providers.Login{renewed})[login.Name]; err != nil {
			t.Fatalf("renewing: %v", err)
		}
		if got, want := validUntil(), login.ExpiresAt.Add(step.want+2*time.Minute).Truncate(time.Microsecond); !got.Equal(want) {
			t.Errorf("VALID UNTIL after renewing by %v: got %v, want %v", step.by, got, want)
		}
	}
}

// The server ends log-ins by itself when nobody revokes.
func TestNativeExpiry(t *testing.T) {
	k := open(t, nil)
	grant := k.grant(map[string]any{"member_of": postgrestest.ReadRole, "grace": 0})
	grant.ExpiresAt = time.Now().Add(500 * time.Millisecond)
	made, err := k.Create(t.Context(), grant)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server refuses the log-in", func() bool {
		return server.LogIn(t.Context(), made["username"].Reveal(), made["password"].Reveal(), postgrestest.Database) != nil
	})
	if time.Now().Before(grant.ExpiresAt) {
		t.Error("the log-in was refused before the lease's end")
	}
	k.mustRevoke(grant.Login)
}

// A create that is slow must not come through after its deadline.
func TestCreateOutlastsItsDeadline(t *testing.T) {
	k := open(t, nil)
	grant := k.grant(map[string]any{"creation_statements": []any{"SELECT pg_sleep(0.3)"}})
	grant.Deadline = time.Now().Add(100 * time.Millisecond)
	_, err := k.Create(t.Context(), grant)
	if got := kindOf(t, err); got != providers.KindRejected || !strings.Contains(err.Error(), "deadline") {
		t.Errorf("got %s, %v, want rejected for its deadline", got, err)
	}
	for found := range k.List(t.Context(), k.prefix) {
		t.Errorf("left: %s", found.Name)
	}
}

// A call that its caller gave up goes on at the server for no longer than the deadline allows, and
// ConfirmAbsent does not call it absent before.
func TestCreateGivenUp(t *testing.T) {
	k := open(t, nil)
	if _, err := k.Check(t.Context()); err != nil { // there is a connection now, so that the call gets as far as the server
		t.Fatal(err)
	}
	grant := k.grant(map[string]any{"creation_statements": []any{"SELECT pg_sleep(1)"}})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := k.Create(ctx, grant)
	if got := kindOf(t, err); got != providers.KindUnknown {
		t.Fatalf("got kind %s, want unknown: %v", got, err)
	}
	// Either the server was told in time and made nothing, or it made it: never "absent" first and
	// there afterwards.
	confirmed := k.ConfirmAbsent(t.Context(), []providers.Login{grant.Login}, time.Now().Add(-time.Second))[grant.Name]
	if confirmed != nil && kindOf(t, confirmed) != providers.KindExists {
		t.Fatalf("confirming absence: %v", confirmed)
	}
	k.mustRevoke(grant.Login)
}

// A call that waits for its turn in vain says whether others had theirs: then the server is well.
func TestCreateWaitsInVain(t *testing.T) {
	k := open(t, nil)
	slow := func(seconds string, patience time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		_, err := k.Create(ctx, k.grant(map[string]any{"creation_statements": []any{"SELECT pg_sleep(" + seconds + ")"}}))
		return err
	}
	vain := func(occupied string, calls int) (busy, silent int) {
		t.Helper()
		var mu sync.Mutex
		var all sync.WaitGroup
		for range calls {
			all.Go(func() {
				err := slow(occupied, 700*time.Millisecond)
				var known *providers.Error
				if !errors.As(err, &known) || !known.NotSent {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				if known.Busy {
					busy++
				} else {
					silent++
				}
			})
		}
		all.Wait()
		return busy, silent
	}
	if _, err := k.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if busy, silent := vain("0.2", 8); busy == 0 || silent != 0 {
		t.Errorf("behind others that get their turn: %d busy, %d silent", busy, silent)
	}
	if busy, silent := vain("2", 3); busy != 0 || silent == 0 {
		t.Errorf("behind one that hangs: %d busy, %d silent", busy, silent)
	}
}

func TestCreationStatements(t *testing.T) {
	k := open(t, nil)
	audit := fresh("audit")
	server.MustExec(t, postgrestest.Database, "CREATE TABLE "+audit+" (note text)", "GRANT INSERT ON "+audit+" TO "+postgrestest.RootName,
		"ALTER TABLE orders OWNER TO "+postgrestest.OwnerRole)
	login, made := k.create(map[string]any{"creation_statements": []any{
		"GRANT SELECT ON orders TO {{name}}",
		"INSERT INTO " + audit + " VALUES ({{expiration}} || ' ' || {{password}});",
		"ALTER ROLE {{name}} PASSWORD {{password}}",
	}})
	conn := k.connect(made, postgrestest.Database)
	var n int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM orders").Scan(&n); err != nil || n != 3 {
		t.Errorf("reading orders: got %d, %v, want 3 rows", n, err)
	}
	note := query[string](t, server, postgrestest.Database, "SELECT note FROM "+audit)
	if !strings.Contains(note, "SCRAM-SHA-256$4096:") || strings.Contains(note, made["password"].Reveal()) {
		t.Errorf("{{password}} stands for %q, want the verifier", note)
	}
	k.mustRevoke(login)

	// Two statements in one element would end the transaction unseen: the protocol refuses them even
	// when they were saved by a broker that did not.
	grant := k.grant(nil)
	grant.Options = providers.Options{"creation_statements": []string{"SELECT 1; COMMIT"}}
	if _, err := k.Create(t.Context(), grant); err == nil || !err.(*providers.Error).NotSent {
		t.Errorf("two statements in one: got %v, want refused before sending", err)
	}
}

// The number of iterations reaches the verifier, and log-ins work with few and with many.
func TestSCRAMIterations(t *testing.T) {
	k := open(t, nil)
	for given, want := range map[any]string{nil: "4096", 1: "1", 64: "64", 5000: "5000"} {
		values := map[string]any{"member_of": postgrestest.ReadRole}
		if given != nil {
			values["scram_iterations"] = given
		}
		login, made := k.create(values)
		verifier := query[string](t, server, "postgres", "SELECT rolpassword FROM pg_authid WHERE rolname = $1", string(login.Name))
		if !strings.HasPrefix(verifier, "SCRAM-SHA-256$"+want+":") {
			t.Errorf("scram_iterations %v: the verifier begins with %.20s", given, verifier)
		}
		if err := server.LogIn(t.Context(), made["username"].Reveal(), made["password"].Reveal(), postgrestest.Database); err != nil {
			t.Errorf("scram_iterations %v: logging in: %v", given, err)
		}
		k.mustRevoke(login)
	}
	for _, wrong := range []any{0, -1, 1000001} {
		if _, problems := (postgres.Provider{}).Describe().ValidateOptions(map[string]any{"member_of": "readonly", "scram_iterations": wrong}); len(problems) == 0 {
			t.Errorf("scram_iterations %v: accepted", wrong)
		}
	}
}

func TestOutputs(t *testing.T) {
	k := open(t, map[string]any{"client_host": "db.example.com", "client_port": "6543", "sslmode": "disable"})
	login, made := k.create(nil)
	defer k.mustRevoke(login)
	want := map[string]string{"username": string(login.Name), "host": "db.example.com", "port": "6543", "database": postgrestest.Database}
	for name, value := range want {
		if got := made[name].Reveal(); got != value {
			t.Errorf("%s: got %q, want %q", name, got, value)
		}
	}
	u, err := url.Parse(made["url"].Reveal())
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	if u.Host != "db.example.com:6543" || u.User.Username() != string(login.Name) || password != made["password"].Reveal() ||
		u.Path != "/"+postgrestest.Database || u.Query().Get("sslmode") != "disable" {
		t.Errorf("url %s does not agree with the other outputs", u.Redacted())
	}
}

// The clear text of passwords, the root account's and a lease's, is in no line of the server's log,
// though it logs every statement.
func TestNoPasswordInTheServersLog(t *testing.T) {
	k := open(t, nil)
	login, made := k.create(map[string]any{"member_of": postgrestest.ReadRole, "creation_statements": []any{"ALTER ROLE {{name}} PASSWORD {{password}}"}})
	if err := server.LogIn(t.Context(), made["username"].Reveal(), made["password"].Reveal(), postgrestest.Database); err != nil {
		t.Fatal(err)
	}
	broken := k.grant(map[string]any{"member_of": postgrestest.ReadRole, "creation_statements": []any{"SELECT no_such_function({{password}})"}})
	if _, err := k.Create(t.Context(), broken); err == nil {
		t.Error("a broken statement succeeds")
	}
	k.mustRevoke(login, broken.Login)
	log, err := os.ReadFile(server.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), `CREATE ROLE "`+string(login.Name)+`"`) {
		t.Fatal("the log does not hold the statements: it proves nothing")
	}
	for what, secret := range map[string]string{"the lease's": made["password"].Reveal(), "the root account's": rootPassword} {
		// Prepare itself, as a person would, said the root password in clear.
		for line := range strings.Lines(string(log)) {
			if strings.Contains(line, secret) && !strings.Contains(line, "CREATE ROLE "+postgrestest.RootName) {
				t.Errorf("the log holds %s password", what)
			}
		}
	}
}
