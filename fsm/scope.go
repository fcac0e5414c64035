package fsm

import "strings"

// Scope says where a role holds: "*", "app/*", "app/env" or "app/env/secret".
type Scope string

// Everywhere is the scope of what holds for all there is.
const Everywhere Scope = "*"

// ScopeRule says in words what [ValidScope] accepts; error messages quote it.
const ScopeRule = "*, app/*, app/env or app/env/secret"

// ValidScope reports whether s is a scope; see ScopeRule.
func ValidScope(s string) bool {
	if ValidPattern(s) {
		return true
	}
	env, name := SecretName(s).Split()
	return ValidEnvironmentName(string(env)) && ValidName(name)
}

// Covers reports whether the scope holds wherever the other one does.
func (s Scope) Covers(other Scope) bool {
	if s == Everywhere || s == other {
		return true
	}
	if app, all := strings.CutSuffix(string(s), "/*"); all {
		return strings.HasPrefix(string(other), app+"/")
	}
	return strings.Count(string(s), "/") == 1 && strings.HasPrefix(string(other), string(s)+"/")
}
