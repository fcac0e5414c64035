package api

import (
	"slices"

	"broker/access"
	"broker/api/types"
	"broker/fsm"
)

// incomplete reports whether the state knows more of a resource than a request tells.
func incomplete(on Resource) bool {
	switch on.Kind {
	case access.KindSecret:
		return on.Secret != ""
	case access.KindLease, access.KindOperation, access.KindLock, access.KindToken:
		return on.Name != ""
	}
	return false
}

// complete adds to a resource what a reading of the state tells of it. Of what is not there it adds nothing: then only
// who may do it everywhere learns that.
func complete(view View, on Resource) Resource {
	switch on.Kind {
	case access.KindSecret:
		if found, ok := view.Secret(fsm.NewSecretName(fsm.EnvironmentName(on.Environment), on.Secret)); ok {
			on.Connection = found.Connection
		}
	case access.KindLease:
		if found, ok := view.Lease(fsm.LeaseID(on.Name)); ok {
			return leaseResource(view, &found)
		}
	case access.KindOperation:
		if found, ok := view.Operation(fsm.OperationID(on.Name)); ok {
			return operationResource(&found)
		}
	case access.KindLock:
		if found, ok := view.Lock(fsm.LockID(on.Name)); ok {
			return lockResource(&found)
		}
	case access.KindToken:
		if found, ok := view.Token(fsm.TokenAccessor(on.Name)); ok {
			on.Owner = found.Account
		}
	}
	return on
}

// leaseResource is a lease. Who made an account anew under the name of one that is gone does not own that one's leases.
func leaseResource(view View, l *fsm.Lease) Resource {
	env, secret := l.Secret.Split()
	owner := l.Account
	if a, ok := view.Account(owner); ok && a.CreatedAt > l.CreatedAt {
		owner = ""
	}
	return Resource{
		Kind: access.KindLease, Environment: fsm.Pattern(env), Secret: secret, Name: string(l.ID), Owner: owner, Connection: l.Connection,
	}
}

// operationResource is where an operation works: in one environment or pattern, else everywhere.
func operationResource(o *fsm.Operation) Resource {
	on := Resource{Kind: access.KindOperation, Name: string(o.ID), Owner: o.By.Account}
	on.Environment, on.Secret = placeOfSelector(o.Selector)
	return on
}

func lockResource(l *fsm.Lock) Resource {
	on := Resource{Kind: access.KindLock, Name: string(l.ID)}
	on.Environment, on.Secret = placeOfSelector(l.Scope.Selector())
	return on
}

func secretResource(s *fsm.Secret) Resource {
	env, secret := s.Name.Split()
	return Resource{Kind: access.KindSecret, Environment: fsm.Pattern(env), Secret: secret, Connection: s.Connection}
}

// placeOfSelector is the one place that all leases of a selector are in; empty: there is none.
func placeOfSelector(selector fsm.LeaseSelector) (fsm.Pattern, string) {
	if selector.Secret != "" {
		env, secret := selector.Secret.Split()
		return fsm.Pattern(env), secret
	}
	if len(selector.Environments) == 1 {
		return selector.Environments[0], ""
	}
	return "", ""
}

// beneath returns what is asked of whoever acts on all that a selector may choose: the action on each of its places, and
// on every environment and secret that is there now, since a policy may forbid one of them. Leases that are named are
// asked about one by one, so that their holder may act on them.
func beneath(view View, action Action, kind access.Kind, selector fsm.LeaseSelector) []ask {
	if len(selector.IDs) > 0 {
		var asks []ask
		for _, id := range selector.IDs {
			asks = append(asks, ask{action, complete(view, Resource{Kind: access.KindLease, Name: string(id)}).As(kind)})
		}
		return asks
	}
	if selector.Secret != "" {
		env, secret := selector.Secret.Split()
		return []ask{{action, complete(view, Resource{Kind: access.KindSecret, Environment: fsm.Pattern(env), Secret: secret}).As(kind)}}
	}
	patterns := selector.Environments
	if len(patterns) == 0 {
		patterns = []fsm.Pattern{"*"}
	}
	var asks []ask
	for _, pattern := range patterns {
		asks = append(asks, ask{action, Resource{Kind: kind, Environment: pattern}})
	}
	eachEnvironment(view, func(env fsm.EnvironmentName) {
		// What is made there later is acted on too.
		if slices.ContainsFunc(patterns, func(p fsm.Pattern) bool { return p.Matches(env) && p != fsm.Pattern(env) }) {
			asks = append(asks, ask{action, Resource{Kind: kind, Environment: fsm.Pattern(env)}})
		}
	})
	eachSecret(view, func(secret fsm.Secret) {
		env, name := secret.Name.Split()
		for _, pattern := range patterns {
			if pattern.Matches(env) {
				asks = append(asks, ask{action, Resource{Kind: kind, Environment: fsm.Pattern(env), Secret: name, Connection: secret.Connection}})
				return
			}
		}
	})
	return asks
}

// about has asks be about a lock or operation that reaches all these places.
func about(on Resource, asks []ask) []ask {
	for i := range asks {
		asks[i].on.Name, asks[i].on.Owner = on.Name, on.Owner
	}
	return asks
}

// eachEnvironment visits the name of every environment.
func eachEnvironment(view View, visit func(fsm.EnvironmentName)) {
	var after fsm.EnvironmentName
	for {
		list := view.Environments(after, types.MaxPage)
		for _, one := range list {
			visit(one.Name)
		}
		if len(list) < types.MaxPage {
			return
		}
		after = list[len(list)-1].Name
	}
}

// eachSecret visits every secret.
func eachSecret(view View, visit func(fsm.Secret)) {
	var after fsm.SecretName
	for {
		list := view.Secrets("", after, types.MaxPage)
		for _, one := range list {
			visit(one)
		}
		if len(list) < types.MaxPage {
			return
		}
		after = list[len(list)-1].Name
	}
}
