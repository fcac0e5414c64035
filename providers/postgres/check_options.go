package postgres

import (
	"context"
	"fmt"
	"slices"

	"broker/providers"
)

// serverRoles are PostgreSQL's own roles whose members read or write the server's files or run programs
// as it, and so make themselves superusers.
var serverRoles = []string{"pg_execute_server_program", "pg_read_server_files", "pg_write_server_files"}

// CheckOptions looks at the server whether the roles that the options name exist, whether the root
// account could grant them and give things to them, and that none leads to more than a leased user may
// have.
func (b *backend) CheckOptions(ctx context.Context, options providers.Options) ([]providers.FieldError, error) {
	ctx, cancel := b.bound(ctx, 3)
	defer cancel()
	conn, err := b.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release()

	groups := sortedUnique(options.List(optionMemberOf))
	owner := options.String(optionOwnerRole)
	// Up to 15 CREATEROLE may grant every role that is no superuser; from 16 only those that the
	// account holds with the admin option.
	const sql = `
SELECT r.rolname::text,
  me.rolsuper OR CASE WHEN current_setting('server_version_num')::int < 160000 THEN NOT r.rolsuper
    ELSE pg_has_role(r.oid, 'MEMBER WITH ADMIN OPTION') END,
  me.rolsuper OR pg_has_role(r.oid, 'MEMBER')
FROM pg_roles r, pg_roles me
WHERE me.rolname = current_user AND r.rolname = ANY($1::text[])`
	rows, err := conn.Query(ctx, sql, append(slices.Clone(groups), owner))
	if err != nil {
		return nil, statementError("looking up roles", err)
	}
	defer rows.Close()
	type ability struct{ grant, give bool }
	roles := map[string]ability{}
	for rows.Next() {
		var name string
		var a ability
		if err := rows.Scan(&name, &a.grant, &a.give); err != nil {
			return nil, statementError("looking up roles", err)
		}
		roles[name] = a
	}
	if err := rows.Err(); err != nil {
		return nil, statementError("looking up roles", err)
	}
	tooMuch, err := b.reaches(ctx, conn.Conn(), append(slices.Clone(groups), owner))
	if err != nil {
		return nil, err
	}

	var problems []providers.FieldError
	wrong := func(field, format string, args ...any) {
		problems = append(problems, providers.FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
	}
	for _, group := range groups {
		a, exists := roles[group]
		switch {
		case !exists:
			wrong(optionMemberOf, "role %q does not exist at the server", group)
		case tooMuch[group] != "":
			wrong(optionMemberOf, "%s; name a group that holds only what leased users need", tooMuch[group])
		case !a.grant:
			wrong(optionMemberOf, "the root account %q may not grant role %q", b.settings.username, group)
		}
	}
	if owner != "" {
		a, exists := roles[owner]
		switch {
		case !exists:
			wrong(optionOwnerRole, "role %q does not exist at the server", owner)
		case tooMuch[owner] != "":
			wrong(optionOwnerRole, "%s; a function that a leased user leaves behind would run with the owner's rights", tooMuch[owner])
		case !a.give:
			wrong(optionOwnerRole, "the root account %q is no member of role %q and so may not give it anything", b.settings.username, owner)
		}
	}
	return problems, nil
}
