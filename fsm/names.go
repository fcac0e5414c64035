package fsm

import (
	"regexp"
	"strings"
)

// Ids and names are types of their own, so that one cannot be passed for another.
type (
	EnvironmentName string // "app/env", e.g. "payments/production"
	ConnectionName  string // e.g. "orders-db"
	AccountName     string // e.g. "admin"
	SecretName      string // in full: "app/env/name", e.g. "payments/production/orders-ro"
	LeaseID         string // a ULID
	TokenAccessor   string // a ULID that names a token without giving access
	GroupName       string // e.g. "payments-team"
	BindingID       string // a ULID
	PolicyName      string // e.g. "short-leases-in-production"
	ClientSecretID  string // a ULID that names a client secret without giving access
	Pattern         string // matches environments: "payments/production", "payments/*" or "*"
)

// NameRule says in words what [ValidName] accepts; error messages quote it.
const NameRule = "1 to 63 characters a-z, 0-9, '_', '.' or '-', beginning with a letter or digit"

var (
	nameRE      = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{0,62}$`)
	outputKeyRE = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)
	labelKeyRE  = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_./-]{0,62}$`)
)

// ValidName reports whether s can name a connection, account, app, env or secret; see NameRule.
func ValidName(s string) bool { return nameRE.MatchString(s) && !strings.Contains(s, "..") }

// ValidEnvironmentName reports whether s is "app/env" of two valid names.
func ValidEnvironmentName(s string) bool {
	app, env, ok := strings.Cut(s, "/")
	return ok && ValidName(app) && ValidName(env)
}

// ValidPattern reports whether s is an environment's name, "app/*" or "*".
func ValidPattern(s string) bool {
	if s == "*" {
		return true
	}
	app, env, ok := strings.Cut(s, "/")
	return ok && ValidName(app) && (env == "*" || ValidName(env))
}

// ValidOutputKey reports whether s can be a key of leased values, that is the name of a variable.
func ValidOutputKey(s string) bool { return outputKeyRE.MatchString(s) }

// ValidLabelKey reports whether s can be the key of a label.
func ValidLabelKey(s string) bool { return labelKeyRE.MatchString(s) }

// Matches reports whether the pattern covers the environment.
func (p Pattern) Matches(env EnvironmentName) bool {
	if p == "*" || string(p) == string(env) {
		return true
	}
	app, rest, ok := strings.Cut(string(p), "/")
	return ok && rest == "*" && strings.HasPrefix(string(env), app+"/")
}

// NewSecretName joins an environment and the short name of a secret in it.
func NewSecretName(env EnvironmentName, name string) SecretName {
	return SecretName(string(env) + "/" + name)
}

// Split returns the environment and the short name.
func (n SecretName) Split() (EnvironmentName, string) {
	i := strings.LastIndexByte(string(n), '/')
	if i < 0 {
		return "", string(n)
	}
	return EnvironmentName(n[:i]), string(n[i+1:])
}
