package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"broker/providers"
)

// reachSQL follows memberships upwards from the roles $1 and returns for each of them the roles, itself
// included, that would make their members more than leased users may be. Every membership counts that
// gives anything: the privileges (INHERIT), becoming the role (SET), or granting oneself either
// (ADMIN). The three are columns from 16 on; before, each membership gives all, which is what a missing
// column is read as. It reads the catalogue, since pg_has_role answers either of the first two but not a
// chain of both, and says of superusers that they are members of every role.
const reachSQL = `
WITH RECURSIVE reached (origin, role) AS (
  SELECT oid, oid FROM pg_roles WHERE rolname = ANY($1::text[])
  UNION
  SELECT reached.origin, m.roleid
  FROM reached JOIN pg_auth_members m ON m.member = reached.role, to_jsonb(m) AS given
  WHERE coalesce((given->>'inherit_option')::boolean, true)
    OR coalesce((given->>'set_option')::boolean, true)
    OR m.admin_option
)
SELECT origin.rolname::text, r.rolname::text, r.rolsuper, r.rolcreaterole
FROM reached JOIN pg_roles origin ON origin.oid = reached.origin JOIN pg_roles r ON r.oid = reached.role
WHERE r.rolsuper OR r.rolcreaterole OR r.rolname = current_user OR r.rolname = ANY($2::text[])
  OR $3::text <> '' AND left(r.rolname, length($3::text)) = $3::text
ORDER BY origin.rolname, r.rolname = origin.rolname DESC, r.rolname`

// reaches returns a sentence for each of the roles whose members would reach more than what belongs to
// leased users: the whole server, the root account, or another lease's login. Names that are no roles
// reach nothing.
func (b *backend) reaches(ctx context.Context, conn *pgx.Conn, roles []string) (map[string]string, error) {
	const doing = "following memberships"
	rows, err := conn.Query(ctx, reachSQL, roles, serverRoles, b.env.Prefix)
	if err != nil {
		return nil, statementError(doing, err)
	}
	defer rows.Close()
	found := map[string]string{}
	for rows.Next() {
		var origin, role string
		var superuser, createRole bool
		if err := rows.Scan(&origin, &role, &superuser, &createRole); err != nil {
			return nil, statementError(doing, err)
		}
		// The role's own properties come first, and one reason is enough.
		if found[origin] != "" {
			continue
		}
		why := "reads or writes the server's files or runs programs as it, and with that every other login is open"
		switch {
		case role == b.settings.username:
			why = "is the broker's root account, which makes and removes every login"
		case superuser:
			why = "is a superuser"
		case createRole:
			why = "may make and change roles (CREATEROLE), other leases' logins among them"
		case b.ours(providers.LoginName(role)) == nil:
			why = "is a login of the broker, which belongs to another lease and ends with it"
		}
		if role == origin {
			found[origin] = fmt.Sprintf("role %q %s", origin, why)
		} else {
			found[origin] = fmt.Sprintf("role %q leads through its memberships to role %q, which %s", origin, role, why)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, statementError(doing, err)
	}
	return found, nil
}
