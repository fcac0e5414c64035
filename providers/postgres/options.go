package postgres

import (
	"fmt"
	"slices"

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
	if slices.Contains(serverRoles, name) {
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

func sortedUnique(names []string) []string {
	sorted := slices.Clone(names)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}
