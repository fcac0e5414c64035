package ldap

import (
	"fmt"
	"strings"

	"broker/providers"
)

// ValidateOptions checks templates and the names of groups. A login may do without groups: it then has the rights that
// the directory gives to everybody who binds.
func (Provider) ValidateOptions(options providers.Options) []providers.FieldError {
	var problems []providers.FieldError
	wrong := func(field string, err error) {
		problems = append(problems, providers.FieldError{Field: field, Message: err.Error()})
	}
	for _, group := range options.List(optionGroups) {
		if _, err := parseDN(group); err != nil {
			wrong(optionGroups, fmt.Errorf("%q %w", group, err))
		}
	}
	if _, err := creation(options); err != nil {
		wrong(optionCreationLDIF, err)
	}
	if text := options.String(optionDeletionLDIF); strings.TrimSpace(text) != "" {
		if _, err := parseDeletion(text); err != nil {
			wrong(optionDeletionLDIF, err)
		}
	}
	return problems
}
