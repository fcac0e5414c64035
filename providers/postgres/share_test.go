package postgres_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"broker/providers"
	"broker/providers/postgres"
	"broker/providers/postgres/postgrestest"
)

// crowd is a Backend with a single connection, which is kept busy until everybody is there.
type crowd struct {
	*kit
	raw  providers.Backend
	free func()
	done sync.WaitGroup
}

func newCrowd(t *testing.T, overrides map[string]any) *crowd {
	t.Helper()
	connection := map[string]any{"max_connections": 1, "statement_timeout": "30s"}
	for field, value := range overrides {
		connection[field] = value
	}
	c := &crowd{kit: open(t, connection)}
	raw, err := postgres.Provider{}.Open(c.settings, providers.Env{ClusterID: clusterID, Term: 1, Prefix: c.prefix})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	c.raw = raw
	c.occupy()
	return c
}

// occupy has a create of its own hold the connection until free is called.
func (c *crowd) occupy() {
	c.t.Helper()
	key := time.Now().UnixNano()
	holder := reader(c.t)
	if _, err := holder.Exec(c.t.Context(), "SELECT pg_advisory_xact_lock($1)", key); err != nil {
		c.t.Fatal(err)
	}
	holding := c.grant(map[string]any{"creation_statements": []any{fmt.Sprintf("SELECT pg_advisory_xact_lock(%d)", key)}})
	c.done.Go(func() { _, _ = c.raw.Create(c.t.Context(), holding) }) // a broken connection may break it
	eventually(c.t, "the connection is occupied", func() bool {
		return query[int](c.t, server, "postgres", "SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND (classid::bigint << 32 | objid::bigint) = $1", key) == 1
	})
	c.free = func() {
		if _, err := holder.Exec(context.Background(), "ROLLBACK"); err != nil {
			c.t.Error(err)
		}
	}
}

// gather waits until so many calls wait, and lets them go.
func (c *crowd) gather(n int) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("%d calls wait", n), func() bool { return postgres.Waiting(c.raw) == n })
	c.free()
	c.done.Wait()
}

// light are options of a login that shares a transaction, with more of them.
func light(more map[string]any) map[string]any {
	values := map[string]any{"member_of": postgrestest.ReadRole, "scram_iterations": 64}
	for name, value := range more {
		values[name] = value
	}
	return values
}

// create has each grant made by a call of its own and returns what became of them.
func (c *crowd) createAll(grants []providers.Grant) []error {
	c.t.Helper()
	outcomes := make([]error, len(grants))
	for i, grant := range grants {
		c.done.Go(func() { _, outcomes[i] = c.raw.Create(c.t.Context(), grant) })
	}
	c.gather(len(grants))
	return outcomes
}

// transactions counts those that made the roles.
func (c *crowd) transactions(grants ...providers.Grant) int {
	c.t.Helper()
	var names []string
	for _, grant := range grants {
		names = append(names, string(grant.Name))
	}
	return query[int](c.t, server, "postgres", "SELECT count(DISTINCT xmin::text)::int FROM pg_authid WHERE rolname = ANY($1::text[])", names)
}

func kinds(t *testing.T, errs []error) []string {
	t.Helper()
	out := make([]string, len(errs))
	for i, err := range errs {
		if out[i] = "made"; err != nil {
			out[i] = kindOf(t, err).String()
		}
	}
	return out
}

// Each of those that share a transaction gets its own answer, and what fails takes nobody with it.
func TestSharedCreates(t *testing.T) {
	c := newCrowd(t, nil)
	defer c.clear()
	there := c.grant(light(nil))
	server.MustExec(t, "postgres", `CREATE ROLE "`+string(there.Name)+`"`)
	late := c.grant(light(nil))
	late.Deadline = time.Now().Add(-time.Minute)
	grants := []providers.Grant{
		c.grant(light(nil)), there, c.grant(light(nil)), late,
		c.grant(light(map[string]any{"member_of": "zz_no_such_role"})), c.grant(light(nil)),
		c.grant(light(map[string]any{"member_of": []any{postgrestest.ReadRole, postgrestest.WriteRole}})),
	}
	want := []string{"made", "exists", "made", "rejected", "rejected", "made", "made"}
	if diff := cmp.Diff(want, kinds(t, c.createAll(grants))); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	if got := c.transactions(grants[0], grants[2], grants[5], grants[6]); got != 1 {
		t.Errorf("made in %d transactions, want one", got)
	}
	for found := range c.List(t.Context(), c.prefix) {
		if found.Name == late.Name || found.Name == grants[4].Name {
			t.Errorf("%s was refused and is there", found.Name)
		}
	}
}

// The deadlines are checked when all else is done: one that passes while others of the same transaction
// are made keeps its login from being made, though its own statements were in time.
func TestSharedCreateOutlastsItsDeadline(t *testing.T) {
	c := newCrowd(t, nil)
	defer c.clear()
	blocking := reader(t)
	if _, err := blocking.Exec(t.Context(), "LOCK TABLE pg_auth_members IN EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	var grants []providers.Grant
	for i := range 4 {
		grants = append(grants, c.grant(light(nil)))
		if i%2 == 1 {
			grants[i].Deadline = time.Now().Add(1500 * time.Millisecond)
		}
	}
	c.done.Go(func() {
		// Past those deadlines, by the server's clock, while GRANT waits.
		eventually(t, "a GRANT waits", func() bool {
			return query[bool](t, server, "postgres", "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'pg_auth_members'::regclass AND NOT granted)")
		})
		query[string](t, server, "postgres", "SELECT pg_sleep(greatest(0, extract(epoch FROM $1::timestamptz - clock_timestamp())))::text", grants[1].Deadline.Add(10*time.Millisecond))
		if _, err := blocking.Exec(context.Background(), "ROLLBACK"); err != nil {
			t.Error(err)
		}
	})
	if diff := cmp.Diff([]string{"made", "rejected", "made", "rejected"}, kinds(t, c.createAll(grants))); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

// When the answer to a shared COMMIT is lost, the outcome is unknown for everybody.
func TestSharedCommitAnswerLost(t *testing.T) {
	proxy := newProxy(t, server.Port)
	c := newCrowd(t, map[string]any{"port": proxy.port, "sslmode": "disable"})
	defer c.clear()
	grants := []providers.Grant{c.grant(light(nil)), c.grant(light(nil)), c.grant(light(nil))}
	outcomes := make([]error, len(grants))
	var calls sync.WaitGroup
	for i, grant := range grants {
		calls.Go(func() { _, outcomes[i] = c.raw.Create(t.Context(), grant) })
	}
	eventually(t, "three calls wait", func() bool { return postgres.Waiting(c.raw) == len(grants) })
	// The connection is broken by its own COMMIT, and the next one by that of the three.
	proxy.cutAtCommit.Store(true)
	c.free()
	calls.Wait()
	proxy.cutAtCommit.Store(false)
	if diff := cmp.Diff([]string{"unknown", "unknown", "unknown"}, kinds(t, outcomes)); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	if got := c.transactions(grants...); got != 1 {
		t.Errorf("made in %d transactions, want one", got)
	}
}

// Who gives up while waiting has sent nothing, and nobody else is disturbed.
func TestSharedCreateGivenUp(t *testing.T) {
	c := newCrowd(t, nil)
	defer c.clear()
	ctx, cancel := context.WithCancel(t.Context())
	impatient, patient := c.grant(light(nil)), c.grant(light(nil))
	var gaveUp error
	var giving sync.WaitGroup
	giving.Go(func() { _, gaveUp = c.raw.Create(ctx, impatient) })
	eventually(t, "a call waits", func() bool { return postgres.Waiting(c.raw) == 1 })
	cancel()
	giving.Wait()
	if e, ok := gaveUp.(*providers.Error); !ok || !e.NotSent || e.Kind != providers.KindUnavailable {
		t.Errorf("got %#v, want unavailable and not sent", gaveUp)
	}
	if diff := cmp.Diff([]string{"made"}, kinds(t, c.createAll([]providers.Grant{patient}))); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	if n := c.transactions(impatient); n != 0 {
		t.Error("what was given up was made")
	}
}

// Users' statements that change the same object at the same time collide in PostgreSQL; they take turns,
// and those of other brokers are tried again.
func TestOwnStatementsTakeTurns(t *testing.T) {
	server.MustExec(t, postgrestest.Database, "ALTER TABLE orders OWNER TO "+postgrestest.OwnerRole)
	var calls sync.WaitGroup
	for range 2 {
		k := open(t, nil)
		var made []providers.Login
		for range 12 {
			grant := k.grant(map[string]any{"creation_statements": []any{"GRANT SELECT ON orders TO {{name}}"}})
			made = append(made, grant.Login)
			calls.Go(func() {
				if _, err := k.Create(t.Context(), grant); err != nil {
					t.Error(err)
				}
			})
		}
		defer func() { k.mustRevoke(made...) }()
	}
	calls.Wait()
}

// Calls of Renew share a transaction too, and one whose role is locked delays no other.
func TestSharedRenewals(t *testing.T) {
	c := newCrowd(t, map[string]any{"statement_timeout": "10s"})
	defer c.clear()
	var logins []providers.Login
	for range 4 {
		login, _ := c.create(light(nil))
		login.ExpiresAt = login.ExpiresAt.Add(time.Hour)
		logins = append(logins, login)
	}
	blocking := reader(t)
	if _, err := blocking.Exec(t.Context(), `ALTER ROLE "`+string(logins[0].Name)+`" CONNECTION LIMIT 5`); err != nil {
		t.Fatal(err)
	}
	var calls, first sync.WaitGroup
	for i, login := range logins {
		group := &calls
		if i == 0 {
			group = &first
		}
		group.Go(func() {
			if err, answered := c.raw.Renew(t.Context(), []providers.Login{login})[login.Name]; err != nil || !answered {
				t.Errorf("renewing %s: answered %v, %v", login.Name, answered, err)
			}
		})
	}
	c.gather(len(logins))
	calls.Wait()
	if got := c.transactions(providers.Grant{Login: logins[1]}, providers.Grant{Login: logins[2]}, providers.Grant{Login: logins[3]}); got > 2 {
		t.Errorf("renewed in %d transactions, want those before the locked one together, and those after it", got)
	}
	if _, err := blocking.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	first.Wait()
}

// clear removes what the test made.
func (c *crowd) clear() {
	var logins []providers.Login
	for found, err := range c.List(context.Background(), c.prefix) {
		if err != nil {
			c.t.Error(err)
		}
		logins = append(logins, providers.Login{Name: found.Name})
	}
	c.mustRevoke(logins...)
}
