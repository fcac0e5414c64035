package access

import (
	"maps"
	"slices"
	"strings"

	"broker/fsm"
)

// Role is a set of actions that is given to accounts and groups by bindings.
type Role struct {
	Name    fsm.RoleName
	Help    string   // one sentence
	Actions []Action // sorted
}

// May reports whether the role allows the action, where it holds.
func (r Role) May(action Action) bool {
	_, found := slices.BinarySearch(r.Actions, action)
	return found
}

// Roles returns the built-in roles, the mightiest first.
func Roles() []Role {
	return []Role{
		{fsm.RoleAdmin, "everything but issuing leases: who can read and change connections gets no credentials from them", adminActions()},
		{"operator", "runs the cluster, connections, secrets and leases of others, without issuing any and without a say in who may do what", operatorActions()},
		{"developer", "makes secrets on connections that are there and issues leases, without reading connections", developerActions()},
		{"service", "issues leases and reads the secrets they come from: for machines", serviceActions()},
		{"auditor", "reads everything, who may do what and the audit logs included, and changes nothing", auditorActions()},
		{"viewer", "reads everything but who may do what and the audit log, and changes nothing", viewerActions()},
	}
}

// RoleNamed returns the role of that name.
func RoleNamed(name fsm.RoleName) (Role, bool) {
	for _, r := range Roles() {
		if r.Name == name {
			return r, true
		}
	}
	return Role{}, false
}

func roleNames() string {
	var names []string
	for _, r := range Roles() {
		names = append(names, string(r.Name))
	}
	return strings.Join(names, ", ")
}

func adminActions() []Action {
	return actions(slices.Collect(maps.Keys(Actions))).without("lease:issue")
}

func operatorActions() []Action {
	return of(
		"environment", "list get create update delete",
		"connection", "list get create update delete check pause rotate sweep use statements",
		"secret", "list get create update delete test",
		"lease", "list get history revoke retry forget",
		"lock", "list get create update delete",
		"operation", "list get cancel",
		"event", "list system", "orphan", "list", "provider", "list get",
		"cluster", "get remove-member promote-member demote-member transfer upgrade repair-clock",
		"metrics", "read", "snapshot", "save", "seal", "get",
	)
}

func developerActions() []Action {
	return of(
		"environment", "list get",
		"secret", "list get create update delete test",
		"connection", "use",
		"lease", "issue list get history",
		"lock", "list get", "operation", "list get", "event", "list", "provider", "list get", "cluster", "get",
	)
}

func serviceActions() []Action {
	return of("environment", "list get", "secret", "list get", "lease", "issue", "provider", "list get", "cluster", "get")
}

func viewerActions() []Action {
	return of(
		"environment", "list get", "connection", "list get", "secret", "list get", "lease", "list get history",
		"lock", "list get", "operation", "list get", "event", "list system", "orphan", "list", "provider", "list get",
		"cluster", "get", "metrics", "read", "seal", "get",
	)
}

func auditorActions() []Action {
	return append(actions(viewerActions()), of(
		"account", "list get", "client-secret", "list", "group", "list get", "token", "list get",
		"role", "list get", "policy", "list get", "event", "access", "access", "explain report", "audit", "get read hash",
	)...).sorted()
}

// actions is a list of them on its way to being sorted.
type actions []Action

func (list actions) sorted() []Action {
	slices.Sort(list)
	return list
}

func (list actions) without(one Action) []Action {
	return actions(slices.DeleteFunc(list, func(a Action) bool { return a == one })).sorted()
}

// of makes actions of pairs: a noun and its verbs.
func of(pairs ...string) []Action {
	var list actions
	for i := 0; i < len(pairs); i += 2 {
		for verb := range strings.FieldsSeq(pairs[i+1]) {
			list = append(list, Action(pairs[i]+":"+verb))
		}
	}
	return list.sorted()
}
