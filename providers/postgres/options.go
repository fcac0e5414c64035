package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"broker/providers"
)

// ValidateOptions checks statements and role names. A secret needs group roles or creation
// statements: a role with neither could do nothing.
func (Provider) ValidateOptions(options providers.Options) []providers.FieldError {
	var problems []providers.FieldError
	groups := options.List(optionMemberOf)
	creation := options.List(optionCreationStatements)
	if len(groups) == 0 && len(creation) == 0 {
		problems = append(problems, providers.FieldError{Field: optionMemberOf,
			Message: "name at least one group role (the normal way), or give creation_statements that grant what the login may do"})
	}
	for _, group := range groups {
		if message := roleNameProblem(group); message != "" {
			problems = append(problems, providers.FieldError{Field: optionMemberOf, Message: message})
		}
	}
	if owner := options.String(optionOwnerRole); owner != "" {
		if message := roleNameProblem(owner); message != "" {
			problems = append(problems, providers.FieldError{Field: optionOwnerRole, Message: message})
		}
	}
	problems = append(problems, statementProblems(optionCreationStatements, creation, creationPlaceholders)...)
	revocation := options.List(optionRevocationStatements)
	return append(problems, statementProblems(optionRevocationStatements, revocation, revocationPlaceholders)...)
}

func roleNameProblem(name string) string {
	if len(name) > maxIdentifier {
		return fmt.Sprintf("role name %q is longer than %d bytes", name, maxIdentifier)
	}
	if strings.HasPrefix(name, "pg_execute_server_program") || strings.HasPrefix(name, "pg_write_server_files") || strings.HasPrefix(name, "pg_read_server_files") {
		return fmt.Sprintf("role %q reaches the server's files and programs and with them every other login", name)
	}
	return ""
}

func statementProblems(field string, statements, known []string) []providers.FieldError {
	var problems []providers.FieldError
	for i, sql := range statements {
		if _, err := parseTemplate(sql, known); err != nil {
			problems = append(problems, providers.FieldError{Field: field, Message: fmt.Sprintf("statement %d %v", i+1, err)})
		}
	}
	return problems
}

// CheckOptions looks at the server whether the roles that the options name exist and whether the
// root account could grant them and give things to them.
func (b *backend) CheckOptions(ctx context.Context, options providers.Options) ([]providers.FieldError, error) {
	ctx, cancel := b.bound(ctx, 2)
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

	var problems []providers.FieldError
	for _, group := range groups {
		a, exists := roles[group]
		switch {
		case !exists:
			problems = append(problems, providers.FieldError{Field: optionMemberOf, Message: fmt.Sprintf("role %q does not exist at the server", group)})
		case !a.grant:
			problems = append(problems, providers.FieldError{Field: optionMemberOf, Message: fmt.Sprintf("the root account %q may not grant role %q", b.settings.username, group)})
		}
	}
	if owner != "" {
		a, exists := roles[owner]
		switch {
		case !exists:
			problems = append(problems, providers.FieldError{Field: optionOwnerRole, Message: fmt.Sprintf("role %q does not exist at the server", owner)})
		case !a.give:
			problems = append(problems, providers.FieldError{Field: optionOwnerRole, Message: fmt.Sprintf("the root account %q is no member of role %q and so may not give it anything", b.settings.username, owner)})
		}
	}
	return problems, nil
}

func sortedUnique(names []string) []string {
	sorted := slices.Clone(names)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}
