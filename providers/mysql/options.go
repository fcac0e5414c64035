package mysql

import (
	"fmt"
	"strings"

	"broker/providers"
)

// ValidateOptions checks roles, grants, statements and the host part. A secret needs one of the first three: an account
// with none could do nothing.
func (Provider) ValidateOptions(options providers.Options) []providers.FieldError {
	var problems []providers.FieldError
	wrong := func(field, format string, args ...any) {
		problems = append(problems, providers.FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
	}
	roles, grants, creation := options.List(optionRoles), options.List(optionGrants), options.List(optionCreationStatements)
	if len(roles)+len(grants)+len(creation) == 0 {
		wrong(optionRoles, "name a role (the normal way), or give grants or creation_statements that say what the login may do")
	}
	for _, role := range roles {
		if len(role) > maxLoginName {
			wrong(optionRoles, "role name %q is longer than %d bytes", role, maxLoginName)
		}
	}
	for i, text := range grants {
		if _, err := parsePrivileges(text); err != nil {
			wrong(optionGrants, "element %d %v", i+1, err)
		}
	}
	statements := func(field string, known []string) {
		for i, sql := range options.List(field) {
			if _, err := parseTemplate(sql, known); err != nil {
				wrong(field, "statement %d %v", i+1, err)
			}
		}
	}
	statements(optionCreationStatements, creationPlaceholders)
	statements(optionRevocationStatements, revocationPlaceholders)
	if host := hostOf(options); !isHostPattern(host) {
		wrong(optionHost, "%q is no host name, address or pattern such as 10.0.%% or %%.example.com", host)
	}
	return problems
}

// hostOf is the host part of the accounts.
func hostOf(options providers.Options) string {
	return orElse(options.String(optionHost), defaultHost)
}

// isHostPattern refuses what needs quoting besides what is too long: it is no host.
func isHostPattern(host string) bool {
	const longest = 60 // MariaDB's; MySQL takes 255
	return len(host) <= longest && strings.IndexFunc(host, func(r rune) bool {
		return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune(".-_:%/", r))
	}) < 0
}
