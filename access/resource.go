package access

import (
	"fmt"
	"slices"
	"strings"

	"broker/fsm"
)

// ResourceRule says in words what [ParseResource] reads.
const ResourceRule = "a secret app/env/name, an environment app/env, app/* or *, KIND/NAME such as connection/orders-db, account/ci or lease/ID, or cluster"

// namedKinds are the kinds that are written KIND/NAME, or KIND for all of that kind.
func namedKinds() []Kind {
	return []Kind{
		KindAccount, KindAudit, KindConnection, KindEvent, KindGroup, KindLease, KindLock, KindOperation, KindOrphan,
		KindPolicy, KindProvider, KindRole, KindToken,
	}
}

// ParseResource reads a resource that somebody wrote; see ResourceRule. The owner of a lease or token, and where a
// lease is, are not part of the text; the environment that a connection is to be used in may be: connection/NAME@app/env.
// A name that is both is read as a kind: an environment whose app is named like
// one is written environment/app/env, a secret secret/app/env/name.
func ParseResource(text string) (Resource, error) {
	kind, name, more := strings.Cut(text, "/")
	switch {
	case text == "":
		return Resource{}, fmt.Errorf("no resource is given: want %s", ResourceRule)
	case text == "*" || text == string(KindEnvironment):
		return Resource{Kind: KindEnvironment, Environment: fsm.Pattern(strings.TrimPrefix(text, string(KindEnvironment)))}, nil
	case text == string(KindCluster):
		return Resource{Kind: KindCluster}, nil
	case kind == string(KindEnvironment) && more:
		return placed(text, name, 1)
	case kind == string(KindSecret) && more:
		return placed(text, name, 2)
	case text == string(KindSecret):
		return Resource{Kind: KindSecret}, nil
	case slices.Contains(namedKinds(), Kind(kind)):
		return called(text, Kind(kind), name, more)
	}
	switch strings.Count(text, "/") {
	case 0:
		return Resource{}, fmt.Errorf("%q is no resource: want %s", text, ResourceRule)
	case 1:
		return placed(text, text, 1)
	}
	return placed(text, text, 2)
}

// placed reads what lives in environments: 1 slash is an environment, 2 are a secret.
func placed(text, name string, slashes int) (Resource, error) {
	if slashes == 1 {
		if !fsm.ValidPattern(name) {
			return Resource{}, fmt.Errorf("%q is no environment: it is app/env, app/* or *, each name of %s", text, fsm.NameRule)
		}
		return Resource{Kind: KindEnvironment, Environment: fsm.Pattern(name)}, nil
	}
	env, short := fsm.SecretName(name).Split()
	if !fsm.ValidEnvironmentName(string(env)) || !fsm.ValidName(short) {
		return Resource{}, fmt.Errorf("%q is no secret: it is app/env/name, each of %s", text, fsm.NameRule)
	}
	return Resource{Kind: KindSecret, Environment: fsm.Pattern(env), Secret: short}, nil
}

// called reads what has a name or an id.
func called(text string, kind Kind, name string, more bool) (Resource, error) {
	var env string
	if short, in, used := strings.Cut(name, "@"); used && kind == KindConnection {
		if !fsm.ValidPattern(in) {
			return Resource{}, fmt.Errorf("%q names no environment after the @: want connection/NAME@app/env", text)
		}
		name, env = short, in
	}
	if more && (name == "" || len(name) > 128 || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == '"' || r == '\\' || r == '/' || r > '~' })) {
		return Resource{}, fmt.Errorf("%q names no %s: want %s/NAME, or %s for all of them", text, kind, kind, kind)
	}
	on := Resource{Kind: kind, Name: name, Environment: fsm.Pattern(env)}
	if kind == KindAccount {
		on.Owner = fsm.AccountName(name)
	}
	return on, nil
}

// String writes the resource as [ParseResource] reads it.
func (r Resource) String() string {
	switch {
	case r.Kind == KindCluster:
		return string(KindCluster)
	case r.Kind == KindConnection && r.Name != "" && r.Environment != "":
		return string(r.Kind) + "/" + r.Name + "@" + string(r.Environment)
	case r.Name != "":
		return string(r.Kind) + "/" + r.Name
	case r.Kind == KindEnvironment && r.Environment != "":
		return qualified(KindEnvironment, string(r.Environment))
	case r.Secret != "":
		return qualified(KindSecret, string(r.Environment)+"/"+r.Secret)
	case r.Kind == KindSecret && r.Environment == "", r.Environment == "":
		return string(r.Kind)
	}
	return string(r.Kind) + " in " + string(r.Environment)
}

// qualified puts the kind before a name that would be read as something else.
func qualified(kind Kind, name string) string {
	first, _, _ := strings.Cut(name, "/")
	if slices.Contains(namedKinds(), Kind(first)) || first == string(KindEnvironment) || first == string(KindSecret) || first == string(KindCluster) && name == first {
		return string(kind) + "/" + name
	}
	return name
}

// scope is the narrowest scope in which a role has to hold to reach the resource.
func (r Resource) scope() fsm.Scope {
	switch {
	case r.Environment == "":
		return fsm.Everywhere
	case r.Secret != "":
		return fsm.Scope(string(r.Environment) + "/" + r.Secret)
	}
	return fsm.Scope(r.Environment)
}
