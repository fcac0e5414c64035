package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"broker/providers"
)

// releaseObjects gives what the logins own to their owner roles and takes back what they were
// granted, in every database in which something depends on them.
func (r *revocation) releaseObjects(ctx context.Context) error {
	databases := r.databases
	if len(databases) == 0 {
		return nil
	}
	var superuser bool
	if err := r.conn.QueryRow(ctx, `SELECT rolsuper FROM pg_roles WHERE rolname = current_user`).Scan(&superuser); err != nil {
		return statementError("reading the root account's privileges", err)
	}
	failed := map[providers.LoginName]error{}
	for _, database := range slices.Sorted(maps.Keys(databases)) {
		// What has failed in one database would fail to drop: nothing more is taken from it.
		pending := slices.DeleteFunc(databases[database], func(login providers.Login) bool { return failed[login.Name] != nil })
		for name, err := range r.releaseIn(ctx, database, pending, superuser) {
			if err != nil {
				failed[name] = err
			}
		}
	}
	r.fail(failed)
	return nil
}

// dependents returns by database which of the logins something there depends on, but for those that
// have revocation statements of their own. What belongs to no database, such as a privilege on one, can
// be released from each. Most logins are members of groups and leave nothing: one query says so for all.
func (r *revocation) dependents(ctx context.Context, logins []providers.Login) (map[string][]providers.Login, error) {
	byOID := map[uint32]providers.Login{}
	var oids []uint32
	for _, login := range logins {
		if len(login.Options.List(optionRevocationStatements)) == 0 {
			oid := r.roles[login.Name].oid
			byOID[oid] = login
			oids = append(oids, oid)
		}
	}
	const sql = `
SELECT DISTINCT coalesce(d.datname, current_database())::text COLLATE "C" AS database, s.refobjid, r.rolname::text COLLATE "C" AS name
FROM pg_shdepend s JOIN pg_roles r ON r.oid = s.refobjid LEFT JOIN pg_database d ON d.oid = s.dbid
WHERE s.refclassid = 'pg_catalog.pg_authid'::regclass AND s.refobjid = ANY($1::oid[])
ORDER BY database, name`
	rows, err := r.conn.Query(ctx, sql, oids)
	if err != nil {
		return nil, statementError("looking for what depends on roles", err)
	}
	defer rows.Close()
	databases := map[string][]providers.Login{}
	for rows.Next() {
		var database, name string
		var oid uint32
		if err := rows.Scan(&database, &oid, &name); err != nil {
			return nil, statementError("looking for what depends on roles", err)
		}
		databases[database] = append(databases[database], byOID[oid])
	}
	if err := rows.Err(); err != nil {
		return nil, statementError("looking for what depends on roles", err)
	}
	return databases, nil
}

// releaseIn works in one database. Reassigning comes first and in the transaction of DROP OWNED, so
// that this removes privileges only and never a table.
func (r *revocation) releaseIn(ctx context.Context, database string, logins []providers.Login, superuser bool) map[providers.LoginName]error {
	answers := map[providers.LoginName]error{}
	conn := r.conn
	if database != r.backend.settings.database {
		other, err := r.backend.connect(ctx, database)
		if err != nil {
			for _, login := range logins {
				answers[login.Name] = elsewhere(login.Name, database, err)
			}
			return answers
		}
		defer closeQuietly(other)
		conn = other
	}
	var owner string
	const sql = `SELECT pg_get_userbyid(datdba)::text FROM pg_database WHERE datname = current_database()`
	if err := conn.QueryRow(ctx, sql).Scan(&owner); err != nil {
		failAll(answers, namesOf(logins), statementError(fmt.Sprintf("reading the owner of database %q", database), err))
		return answers
	}
	jobs := make([]job, len(logins))
	for i, login := range logins {
		name, heir := quoteName(string(login.Name)), owner
		if chosen := login.Options.String(optionOwnerRole); chosen != "" {
			heir = chosen
		}
		if !superuser {
			// Up to 15 CREATEROLE alone may not act for the role; from 16 its creator holds it
			// with the admin option, but does not inherit from it.
			jobs[i].statements = append(jobs[i].statements, "GRANT "+name+" TO CURRENT_USER")
		}
		jobs[i].name = login.Name
		jobs[i].statements = append(jobs[i].statements,
			"REASSIGN OWNED BY "+name+" TO "+quoteName(heir),
			"DROP OWNED BY "+name)
	}
	release := batch{
		apart: true,
		doing: fmt.Sprintf("releasing what role %%q has in database %s", strings.ReplaceAll(quoteName(database), "%", "%%")),
		classify: func(doing string, err error) *providers.Error {
			e := statementError(doing, err)
			if hasCode(err, codePrivilege) {
				e.Hint = "The root account must be a member of the role that gets the objects (owner_role, or the database's owner), and that role needs CREATE on their schemas. Nothing was dropped."
			}
			return e
		},
	}
	for name, err := range release.pass(ctx, conn, jobs, r.wait) {
		answers[name] = err
	}
	return answers
}

// elsewhere says that a database could not be reached in which the role has something. Other parts
// of the call have been done, so it does not count as unsent.
func elsewhere(name providers.LoginName, database string, err error) error {
	failure := &providers.Error{Kind: providers.KindUnavailable,
		Err: fmt.Errorf("releasing what role %q has in database %q: %w", string(name), database, err)}
	failure.Hint = "Objects or privileges of the role are in that database: let the root account connect to it."
	var cause *providers.Error
	if errors.As(err, &cause) && cause.Kind == providers.KindUnavailable && cause.Hint != "" {
		failure.Hint = cause.Hint // it is not this database that is the matter
	}
	return failure
}

func closeQuietly(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx) // its transaction has ended one way or the other
}
