package main

import (
	"context"
	"errors"
	"net/http"

	"broker/api/client"
	"broker/api/types"
	"broker/cmd/brokerctl/internal/declare"
)

// stateFor reads what is there of the kinds that the wanted objects are of, or refer to.
func (a *app) stateFor(ctx context.Context, c *client.Client, want []declare.Object) (declare.State, error) {
	needed := map[string]bool{}
	for _, o := range want {
		needed[o.Kind] = true
	}
	needed[declare.User] = needed[declare.User] || needed[declare.Service] // one list has both
	refers := map[string][]string{
		declare.Secret:      {declare.Environment, declare.Connection},
		declare.Group:       {declare.User},
		declare.Service:     {declare.User},
		declare.RoleBinding: {declare.User, declare.Group},
	}
	look := map[string]bool{declare.Secret: true} // prune and keys of outputs look at all of them
	for kind := range needed {
		look[kind] = true
		for _, other := range refers[kind] {
			look[other] = true
		}
	}
	delete(look, declare.Service)
	state, err := a.state(ctx, c, look, needed)
	if err != nil {
		return state, err
	}
	// The list has those that one may see; who may not see all is told by the broker which are not there.
	answers, err := c.Can(ctx, []client.Question{{Action: "environment:list", Resource: "*"}})
	if err != nil {
		return state, err
	}
	state.Seen[declare.Environment] = state.Seen[declare.Environment] && len(answers) == 1 && answers[0].Allowed
	page, err := c.ListProviders(ctx)
	state.Providers = map[string]types.Provider{}
	for _, one := range page.Items {
		state.Providers[one.Name] = one
	}
	return state, err
}

// state reads what is there of the kinds. One that the account may not list is left out, unless it is needed.
func (a *app) state(ctx context.Context, c *client.Client, kinds, needed map[string]bool) (declare.State, error) {
	state := declare.State{Seen: map[string]bool{}, Now: a.now(), Nearest: nearest}
	for _, k := range declare.Kinds() {
		if !kinds[k.Name] {
			continue
		}
		found, err := a.listKind(ctx, c, k.Name)
		var problem *types.Problem
		if errors.As(err, &problem) && problem.Status == http.StatusForbidden && !needed[k.Name] {
			continue
		}
		if err != nil {
			return state, err
		}
		state.Seen[k.Name] = true
		state.Have = append(state.Have, found...)
	}
	return state, nil
}

// listKind lists all objects of a kind; those of kind user are all accounts.
func (a *app) listKind(ctx context.Context, c *client.Client, kind string) ([]declare.Object, error) {
	switch kind {
	case declare.Environment:
		return everyOne(a, kind, func(o client.ListOptions) (types.Page[types.Environment], error) { return c.ListEnvironments(ctx, o) })
	case declare.User:
		return allOf(a, func(one types.Account) string { return one.Kind }, func(o client.ListOptions) (types.Page[types.Account], error) { return c.ListAccounts(ctx, o) })
	case declare.Group:
		return everyOne(a, kind, func(o client.ListOptions) (types.Page[types.Group], error) { return c.ListGroups(ctx, o) })
	case declare.Connection:
		return everyOne(a, kind, func(o client.ListOptions) (types.Page[types.Connection], error) { return c.ListConnections(ctx, o) })
	case declare.Secret:
		return everyOne(a, kind, func(o client.ListOptions) (types.Page[types.Secret], error) { return c.ListSecrets(ctx, "", o) })
	case declare.Policy:
		return everyOne(a, kind, func(o client.ListOptions) (types.Page[types.Policy], error) { return c.ListPolicies(ctx, o) })
	case declare.RoleBinding:
		return everyOne(a, kind, func(o client.ListOptions) (types.Page[types.RoleBinding], error) {
			return c.ListRoleBindings(ctx, client.BindingFilter{}, o)
		})
	case declare.Lock:
		return everyOne(a, kind, func(o client.ListOptions) (types.Page[types.Lock], error) { return c.ListLocks(ctx, o) })
	}
	return nil, nil
}

// everyOne lists all objects of one kind.
func everyOne[T any](a *app, kind string, page func(client.ListOptions) (types.Page[T], error)) ([]declare.Object, error) {
	return allOf(a, func(T) string { return kind }, page)
}

func allOf[T any](a *app, kind func(T) string, page func(client.ListOptions) (types.Page[T], error)) ([]declare.Object, error) {
	items, err := collect(a, listFlags{limit: 1, all: true}, func(o client.ListOptions) ([]T, string, error) {
		found, err := page(o)
		return found.Items, found.NextCursor, err
	})
	var out []declare.Object
	for _, one := range items {
		o, err := declare.There(kind(one), one)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, err
}
