package providers

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// Names of the secret options that every provider describes the same way.
const (
	OptionLoginName        = "login_name"
	OptionPasswordLength   = "password_length"
	OptionPasswordAlphabet = "password_alphabet"
)

// DefaultLoginName is the template of the middle of a login's name unless a secret has another.
const DefaultLoginName = "{{secret}}"

// The alphabets of passwords.
const (
	AlphabetAlphanumeric = "alphanumeric" // [A-Za-z0-9], which needs no quoting anywhere
	AlphabetSymbols      = "symbols"      // and -_.~!@#%^*+=: for systems that demand one of each kind
)

var alphabets = map[string][]string{
	AlphabetAlphanumeric: {upper, lower, digits},
	AlphabetSymbols:      {upper, lower, digits, "-_.~!@#%^*+=:"},
}

const (
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	lower  = "abcdefghijklmnopqrstuvwxyz"
	digits = "0123456789"
)

// LoginNameOption describes the option by which a secret chooses the middle of its logins' names. The broker reads it;
// providers only list it.
func LoginNameOption() Field {
	return Field{Name: OptionLoginName, Type: TypeString, Default: DefaultLoginName, Example: "{{app}}_{{account}}",
		Help: "Middle of the login's name, between the cluster's prefix and the unique part; cut to what the system takes. {{app}}, {{env}}, {{secret}} and {{account}} are replaced."}
}

// PasswordOptions describes the options by which a secret chooses what its passwords look like; [Password] reads them.
// limit is the longest password that the system takes.
func PasswordOptions(limit int64) []Field {
	return []Field{
		{Name: OptionPasswordLength, Type: TypeInteger, Default: int64(DefaultPasswordLength), Min: Limit(20), Max: Limit(limit),
			Help: "Length of passwords. Of letters and digits, 20 characters are 119 bits and 32 are 190."},
		{Name: OptionPasswordAlphabet, Type: TypeString, Enum: []string{AlphabetAlphanumeric, AlphabetSymbols}, Default: AlphabetAlphanumeric,
			Help: "Characters of passwords: letters and digits, or symbols too for systems that demand them, with at least one of each kind."},
	}
}

// mostPasswords is how many passwords are drawn until one has a character of each kind. Of 20 characters one in twelve
// has not, so that giving up means that random is not.
const mostPasswords = 100

// Password makes a password as a secret's options say. Options that say nothing, such as those of a secret from before
// there were these, mean the defaults.
func Password(random io.Reader, options Options) (Secret, error) {
	length := int(options.Integer(OptionPasswordLength))
	if options.String(OptionPasswordAlphabet) != AlphabetSymbols {
		return NewPassword(random, length)
	}
	kinds := alphabets[AlphabetSymbols]
	for range mostPasswords { // every password with each kind stays as likely as any other
		password, err := newPassword(random, length, strings.Join(kinds, ""))
		if err != nil {
			return Secret{}, err
		}
		if !slices.ContainsFunc(kinds, func(kind string) bool { return !strings.ContainsAny(password.Reveal(), kind) }) {
			return password, nil
		}
	}
	return Secret{}, fmt.Errorf("making a password of %d characters: none of %d had one of each kind", length, mostPasswords)
}

// DefaultPasswords reports whether options ask for the passwords that every secret has unless it says otherwise.
func DefaultPasswords(options Options) bool {
	length := options.Integer(OptionPasswordLength)
	return (length <= 0 || length == DefaultPasswordLength) && options.String(OptionPasswordAlphabet) != AlphabetSymbols
}

// NameParts are what a template of a login's name may hold.
type NameParts struct{ App, Env, Secret, Account string }

var namePlaceholder = regexp.MustCompile(`\{\{\s*([^{}]*?)\s*\}\}`)

func (p NameParts) part(name string) (string, bool) {
	switch name {
	case "app":
		return p.App, true
	case "env":
		return p.Env, true
	case "secret":
		return p.Secret, true
	case "account":
		return p.Account, true
	}
	return "", false
}

// Middle fills a template of a login's name. What [CheckNameTemplate] refuses is left out.
func (p NameParts) Middle(template string) string {
	return namePlaceholder.ReplaceAllStringFunc(template, func(text string) string {
		value, _ := p.part(namePlaceholder.FindStringSubmatch(text)[1])
		return value
	})
}

// CheckNameTemplate says what is wrong with a template of a login's name, or "".
func CheckNameTemplate(template string) string {
	for _, found := range namePlaceholder.FindAllStringSubmatch(template, -1) {
		if _, ok := (NameParts{}).part(found[1]); !ok {
			return fmt.Sprintf("{{%s}} is unknown; known are {{app}}, {{env}}, {{secret}} and {{account}}", found[1])
		}
	}
	if rest := namePlaceholder.ReplaceAllString(template, ""); strings.Contains(rest, "{{") || strings.Contains(rest, "}}") {
		return "a placeholder is {{app}}, {{env}}, {{secret}} or {{account}}"
	}
	return ""
}
