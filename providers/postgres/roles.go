package postgres

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"broker/providers"
)

// role is what the server's catalogue says about one of our logins.
type role struct {
	oid        uint32
	canLogin   bool
	validUntil *time.Time // nil is for ever
}

// lookUp reads the roles of those names; names without a role are missing from the answer. A role
// whose creation is not committed is invisible and so missing too. The statement that finds a role
// missing says itself that the server is no standby: absence is success, so nothing else has to hold.
func lookUp(ctx context.Context, conn *pgx.Conn, names []providers.LoginName) (map[providers.LoginName]role, error) {
	const sql = `
SELECT server.standby, r.rolname::text, r.oid, r.rolcanlogin, r.rolvaliduntil
FROM (SELECT pg_is_in_recovery() AS standby) AS server LEFT JOIN pg_roles r ON r.rolname = ANY($1::text[])`
	rows, err := conn.Query(ctx, sql, texts(names))
	if err != nil {
		return nil, statementError("looking up roles", err)
	}
	defer rows.Close()
	roles := make(map[providers.LoginName]role, len(names))
	for rows.Next() {
		var standby bool
		var name *string // nil: none of the roles exists
		var oid *uint32
		var canLogin *bool
		var until pgtype.Timestamptz
		if err := rows.Scan(&standby, &name, &oid, &canLogin, &until); err != nil {
			return nil, statementError("looking up roles", err)
		}
		switch {
		case standby:
			return nil, providers.Errorf(providers.KindUnavailable, "looking up roles: the server is a standby")
		case name == nil:
			continue
		}
		r := role{oid: *oid, canLogin: *canLogin}
		switch {
		case until.Valid && until.InfinityModifier == pgtype.Finite:
			r.validUntil = &until.Time
		case until.InfinityModifier == pgtype.NegativeInfinity:
			r.validUntil = &time.Time{}
		}
		roles[providers.LoginName(*name)] = r
	}
	if err := rows.Err(); err != nil {
		return nil, statementError("looking up roles", err)
	}
	return roles, nil
}

// sorted returns the logins in the order of their names, each once, and answers for those that are
// none of ours.
func (b *backend) sorted(logins []providers.Login) ([]providers.Login, map[providers.LoginName]error) {
	answers := make(map[providers.LoginName]error, len(logins))
	var todo []providers.Login
	for _, login := range logins {
		if err := b.ours(login.Name); err != nil {
			answers[login.Name] = err
			continue
		}
		todo = append(todo, login)
	}
	slices.SortStableFunc(todo, func(a, b providers.Login) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return slices.CompactFunc(todo, func(a, b providers.Login) bool { return a.Name == b.Name }), answers
}

func namesOf(logins []providers.Login) []providers.LoginName {
	names := make([]providers.LoginName, len(logins))
	for i, login := range logins {
		names[i] = login.Name
	}
	return names
}

func texts(names []providers.LoginName) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = string(name)
	}
	return out
}
