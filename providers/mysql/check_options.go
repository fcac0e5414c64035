package mysql

import (
	"context"
	"fmt"

	"broker/providers"
)

// oneRole says why MariaDB takes no more than one.
const oneRole = "MariaDB activates one role at the start of a session: make a role that the others are granted to, and name that"

// CheckOptions looks at the server whether the roles that the options name exist, whether the root account may grant
// them, and that none leads to more than a leased user may have.
func (b *backend) CheckOptions(ctx context.Context, options providers.Options) ([]providers.FieldError, error) {
	ctx, cancel := b.bound(ctx, 6)
	defer cancel()
	s, err := b.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer s.end()
	var problems []providers.FieldError
	wrong := func(format string, args ...any) {
		problems = append(problems, providers.FieldError{Field: optionRoles, Message: fmt.Sprintf(format, args...)})
	}
	roles := options.List(optionRoles)
	if s.mariaDB && len(roles) > 1 {
		wrong(oneRole)
	}
	for _, role := range roles {
		seen, err := s.look(ctx, role)
		switch {
		case err != nil:
			return nil, err
		case !seen.exists:
			wrong("role %q does not exist at the server", role)
		case b.ours(providers.LoginName(role)) == nil:
			wrong("%q is a login of the broker, which belongs to another lease and ends with it", role)
		case seen.tooMuch != "" && seen.tooMuch != role:
			wrong("role %q leads to role %q, which makes accounts or grants what it has: name a role that holds only what leased users need", role, seen.tooMuch)
		case seen.tooMuch != "":
			wrong("role %q makes accounts or grants what it has: name a role that holds only what leased users need", role)
		case !seen.grantable:
			wrong("the root account %q may not grant role %q: GRANT %s TO it WITH ADMIN OPTION", b.settings.username, role, quoteName(role))
		}
	}
	return problems, nil
}

// seen is what the server knows of a role.
type seen struct {
	exists    bool
	grantable bool   // by the root account
	tooMuch   string // the role that it leads to, or itself, that may make accounts or pass on what it has
}

func (s *session) look(ctx context.Context, role string) (seen, error) {
	host, edges, admin := "'%'", "SELECT FROM_USER AS role, TO_USER AS holder FROM mysql.role_edges WHERE FROM_HOST = '%' AND TO_HOST = '%'", "'ROLE_ADMIN', 'SUPER'"
	if s.mariaDB {
		host, edges, admin = "''", "SELECT Role AS role, User AS holder FROM mysql.roles_mapping WHERE Host = ''", "'SUPER'"
	}
	name := quoteString(role)
	var found seen
	var tooMuch *string
	err := s.read(ctx, fmt.Sprintf(`SELECT
  EXISTS (SELECT 1 FROM mysql.user WHERE User = %[1]s AND Host = %[2]s),
  EXISTS (SELECT 1 FROM information_schema.APPLICABLE_ROLES WHERE ROLE_NAME = %[1]s AND IS_GRANTABLE = 'YES')
    OR EXISTS (SELECT 1 FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE IN (%[3]s) AND GRANTEE = CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), ''''))`,
		name, host, admin), &found.exists, &found.grantable)
	if err != nil {
		return seen{}, statementError(fmt.Sprintf("looking role %q up", role), err)
	}
	err = s.read(ctx, fmt.Sprintf(`WITH RECURSIVE reached (role) AS (
  SELECT CONVERT(%[1]s USING utf8mb4) COLLATE utf8mb4_bin
  UNION
  SELECT CONVERT(e.role USING utf8mb4) COLLATE utf8mb4_bin FROM reached r JOIN (%[3]s) AS e ON CONVERT(e.holder USING utf8mb4) COLLATE utf8mb4_bin = r.role
)
SELECT MIN(u.User) FROM mysql.user u JOIN reached r ON CONVERT(u.User USING utf8mb4) COLLATE utf8mb4_bin = r.role
WHERE u.Host = %[2]s AND 'Y' IN (u.Super_priv, u.Create_user_priv, u.Grant_priv)`, name, host, edges), &tooMuch)
	if err != nil {
		return seen{}, statementError(fmt.Sprintf("following what role %q leads to", role), err)
	}
	if tooMuch != nil {
		found.tooMuch = *tooMuch
	}
	return found, nil
}
