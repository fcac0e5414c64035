package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"broker/providers/postgres/postgrestest"
)

// rawPrefix begins the names of roles that are made without the broker.
const rawPrefix = "raw_"

// rawClient does at PostgreSQL what the provider does for one login, statement by statement and in the
// same pieces, with nothing around it and sharing no transaction with others. What the provider sends is in
// providers/postgres: create_batch.go, renew.go, revoke.go.
type rawClient struct {
	*pgx.Conn
}

// rawConn logs in as the broker's root account, with what the provider sets for its sessions.
func (h *house) rawConn(ctx context.Context) (rawClient, error) {
	config, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%d user=%s dbname=%s sslmode=disable", postgrestest.Host, h.pg.Port, postgrestest.RootName, postgrestest.Database))
	if err != nil {
		return rawClient{}, err
	}
	config.Password = h.pgRoot
	config.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	config.RuntimeParams = map[string]string{
		"application_name": "bench", "client_encoding": "UTF8", "standard_conforming_strings": "on", "timezone": "UTC",
		"statement_timeout": "10000", "lock_timeout": "5000", "idle_in_transaction_session_timeout": "10000",
	}
	c, err := pgx.ConnectConfig(ctx, config)
	return rawClient{c}, err
}

func (r rawClient) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = r.Close(ctx) // its work is done or does not count
}

// send sends statements in one round trip.
func (r rawClient) send(ctx context.Context, statements ...string) error {
	batch := &pgconn.Batch{}
	for _, sql := range statements {
		batch.ExecParams(sql, nil, nil, nil, nil)
	}
	err := r.PgConn().ExecBatch(ctx, batch).Close()
	if err != nil && r.PgConn().TxStatus() != 'I' {
		_, _ = r.Exec(ctx, "ROLLBACK") // the next statement says when it failed
	}
	return err
}

const rawBegin = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"

// verifier is what the server would keep of a password that nobody knows. The server works as long on
// it as on one of the broker's.
func verifier(iterations int) string {
	random := func(n int) string {
		b := make([]byte, n)
		_, _ = rand.Read(b) // it never fails
		return base64.StdEncoding.EncodeToString(b)
	}
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, random(16), random(32), random(32))
}

func instant(t time.Time) string {
	return "'" + t.UTC().Truncate(time.Microsecond).Format("2006-01-02 15:04:05.000000+00") + "'"
}

func rawName() string { return rawPrefix + "abcd_role_" + strings.ToLower(rand.Text()[:16]) }

// create makes a login.
func (r rawClient) create(ctx context.Context, name string, iterations int) error {
	now := time.Now()
	return r.send(ctx, rawBegin,
		"SELECT set_config('statement_timeout', '9990', true), set_config('idle_in_transaction_session_timeout', '9990', true), set_config('lock_timeout', '5000', true)",
		fmt.Sprintf(`CREATE ROLE %q LOGIN CONNECTION LIMIT -1 PASSWORD '%s' VALID UNTIL %s`, name, verifier(iterations), instant(now.Add(65*time.Minute))),
		fmt.Sprintf(`COMMENT ON ROLE %q IS 'broker cluster=01J0PROVIDERTESTCLUSTER000 lease=01J0PROVIDERTESTCLUSTER000'`, name),
		fmt.Sprintf(`GRANT %q TO %q`, groupRole, name),
		"SELECT 1 / (clock_timestamp() <= "+instant(now.Add(10*time.Second))+"::timestamptz)::int",
		"COMMIT")
}

// lookUp reads the role and returns its oid.
func (r rawClient) lookUp(ctx context.Context, name string) (oid uint32, err error) {
	var standby, canLogin bool
	var found string
	var until *time.Time
	const sql = `
SELECT server.standby, r.rolname::text, r.oid, r.rolcanlogin, r.rolvaliduntil
FROM (SELECT pg_is_in_recovery() AS standby) AS server LEFT JOIN pg_roles r ON r.rolname = ANY($1::text[])`
	err = r.QueryRow(ctx, sql, []string{name}).Scan(&standby, &found, &oid, &canLogin, &until)
	return oid, err
}

// renew moves a login's end.
func (r rawClient) renew(ctx context.Context, name string, until time.Time) error {
	if _, err := r.lookUp(ctx, name); err != nil {
		return err
	}
	return r.send(ctx, rawBegin, "SET LOCAL lock_timeout = 100",
		fmt.Sprintf("SELECT 1 / (NOT EXISTS (SELECT FROM (VALUES ('%s', %s)) AS j (name, until) JOIN pg_roles r ON r.rolname = j.name::name WHERE r.rolvaliduntil > j.until::timestamptz))::int", name, instant(until)),
		fmt.Sprintf(`ALTER ROLE %q VALID UNTIL %s`, name, instant(until)), "COMMIT")
}

// change is one statement as the provider sends it.
func (r rawClient) change(ctx context.Context, sql string) error {
	return r.send(ctx, rawBegin, "SET LOCAL lock_timeout = 100", sql, "COMMIT")
}

// query runs a query and drops its rows.
func (r rawClient) query(ctx context.Context, sql string, args ...any) error {
	rows, err := r.Query(ctx, sql, args...)
	if err == nil {
		rows.Close()
		err = rows.Err()
	}
	return err
}

// revoke removes a login in the provider's stages, one login at a time.
func (r rawClient) revoke(ctx context.Context, name string) error {
	oid, err := r.lookUp(ctx, name)
	if err != nil {
		return err
	}
	end := func() error {
		return r.query(ctx, `
SELECT usesysid, count(pg_terminate_backend(pid))::int FROM pg_stat_activity
WHERE usesysid = ANY($1::oid[]) AND pid <> pg_backend_pid() GROUP BY usesysid`, []uint32{oid})
	}
	for _, step := range []func() error{
		func() error { return r.change(ctx, fmt.Sprintf(`ALTER ROLE %q NOLOGIN`, name)) },
		func() error {
			return r.query(ctx, `
SELECT DISTINCT l.pid FROM pg_locks l
WHERE l.locktype = 'object' AND l.classid = 'pg_catalog.pg_database'::regclass AND l.mode = 'RowExclusiveLock' AND l.granted
  AND l.pid <> pg_backend_pid() AND ($1::int[] IS NULL OR l.pid = ANY($1::int[]))
  AND NOT EXISTS (
    SELECT FROM pg_stat_activity a WHERE a.pid = l.pid AND (a.usesysid IS NOT NULL OR a.backend_type <> 'client backend'))`, []int32(nil))
		},
		end,
		func() error {
			return r.query(ctx, `
SELECT DISTINCT coalesce(d.datname, current_database())::text COLLATE "C" AS database, s.refobjid, r.rolname::text COLLATE "C" AS name
FROM pg_shdepend s JOIN pg_roles r ON r.oid = s.refobjid LEFT JOIN pg_database d ON d.oid = s.dbid
WHERE s.refclassid = 'pg_catalog.pg_authid'::regclass AND s.refobjid = ANY($1::oid[])
ORDER BY database, name`, []uint32{oid})
		},
		func() error { return r.change(ctx, fmt.Sprintf(`DROP ROLE IF EXISTS %q`, name)) },
		end,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// rawRound has clients with a connection each do an operation again and again.
func (h *house) rawRound(do func(ctx context.Context, r rawClient, client int) (more bool, err error)) func(context.Context, int, time.Duration) (sample, error) {
	return func(ctx context.Context, clients int, limit time.Duration) (sample, error) {
		return load(ctx, clients, limit, func(i int) (operation, func(), error) {
			r, err := h.rawConn(ctx)
			if err != nil {
				return nil, nil, err
			}
			return func() (bool, error) { return do(ctx, r, i) }, r.close, nil
		})
	}
}

// rawCreates is a round of creates. The roles are dropped after it: tables that grow would favour
// whoever comes first.
func (h *house) rawCreates(iterations int) func(context.Context, int, time.Duration) (sample, error) {
	round := h.rawRound(func(ctx context.Context, r rawClient, _ int) (bool, error) {
		return true, r.create(ctx, rawName(), iterations)
	})
	return func(ctx context.Context, clients int, limit time.Duration) (sample, error) {
		s, err := round(ctx, clients, limit)
		if err != nil {
			return s, err
		}
		return s, h.dropRoles(ctx, rawPrefix)
	}
}

// dropRoles removes the roles whose names begin with the prefix.
func (h *house) dropRoles(ctx context.Context, prefix string) error {
	return h.pg.SQL(ctx, "postgres", fmt.Sprintf(`
DO $$ DECLARE r text; BEGIN FOR r IN SELECT rolname FROM pg_roles WHERE starts_with(rolname, '%s') LOOP EXECUTE format('DROP ROLE %%I', r); END LOOP; END $$`, prefix),
		"VACUUM pg_authid, pg_auth_members, pg_shdescription, pg_shdepend")
}

// makeRoles makes roles without passwords, fast, and returns their names.
func (h *house) makeRoles(ctx context.Context, count int) ([]string, error) {
	r, err := h.rawConn(ctx)
	if err != nil {
		return nil, err
	}
	defer r.close()
	var names []string
	for len(names) < count {
		statements := []string{"BEGIN"}
		for range min(100, count-len(names)) {
			name := rawName()
			names = append(names, name)
			statements = append(statements, fmt.Sprintf(`CREATE ROLE %q LOGIN VALID UNTIL %s IN ROLE %q`, name, instant(time.Now().Add(time.Hour)), groupRole),
				fmt.Sprintf(`COMMENT ON ROLE %q IS 'broker'`, name))
		}
		if err := r.send(ctx, append(statements, "COMMIT")...); err != nil {
			return nil, err
		}
	}
	return names, nil
}
