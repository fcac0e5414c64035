package postgres

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"broker/providers"
)

// Preview returns the statements that make the role, without the limits and the check of the deadline around them.
func (Provider) Preview(_ providers.Settings, options providers.Options, name providers.LoginName, expiresAt time.Time) []string {
	role := quoteName(string(name))
	const verifier = "'{{password}}'" // as a SCRAM verifier, which is quoted as it is
	expiration := quoteTime(nativeExpiry(providers.Login{ExpiresAt: expiresAt, Options: options}))
	steps := []string{"BEGIN", createRole(role, connectionLimit(options), verifier, expiration), commentOn(role, "'"+roleComment("{{cluster}}", "{{lease}}")+"'")}
	var memberships []string
	for _, group := range sortedUnique(options.List(optionMemberOf)) {
		memberships = append(memberships, grantMembership(group, role))
	}
	own, err := renderAll(options.List(optionCreationStatements), creationPlaceholders, map[string]string{
		placeholderName: role, placeholderPassword: verifier, placeholderExpiration: expiration,
	})
	if err != nil { // it was checked when it was saved
		own = []string{"-- " + strings.ReplaceAll(fmt.Sprintf("creation_statements: %v", err), "\n", " ")}
	}
	return slices.Concat(steps, memberships, own, []string{"COMMIT"})
}

func connectionLimit(options providers.Options) int64 {
	if options[optionConnectionLimit] == nil {
		return -1
	}
	return options.Integer(optionConnectionLimit)
}

func createRole(role string, connections int64, verifier, expiration string) string {
	return fmt.Sprintf("CREATE ROLE %s LOGIN CONNECTION LIMIT %d PASSWORD %s VALID UNTIL %s", role, connections, verifier, expiration)
}

func commentOn(role, comment string) string {
	return fmt.Sprintf("COMMENT ON ROLE %s IS %s", role, comment)
}

func grantMembership(group, role string) string {
	return fmt.Sprintf("GRANT %s TO %s", quoteName(group), role)
}
