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
		found, err := listKind(ctx, c, k.Name)
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
func listKind(ctx context.Context, c *client.Client, kind string) ([]declare.Object, error) {
	switch kind {
	case declare.Environment:
		return everyOne(kind, func(o client.ListOptions) (types.Page[types.Environment], error) { return c.ListEnvironments(ctx, o) })
	case declare.User:
		accounts, err := everyPage(func(o client.ListOptions) (types.Page[types.Account], error) { return c.ListAccounts(ctx, o) })
		var out []declare.Object
		for _, one := range accounts {
			o, wrong := declare.There(one.Kind, one)
			if wrong != nil {
				return nil, wrong
			}
			out = append(out, o)
		}
		return out, err
	case declare.Group:
		return everyOne(kind, func(o client.ListOptions) (types.Page[types.Group], error) { return c.ListGroups(ctx, o) })
	case declare.Connection:
		return everyOne(kind, func(o client.ListOptions) (types.Page[types.Connection], error) { return c.ListConnections(ctx, o) })
	case declare.Secret:
		return everyOne(kind, func(o client.ListOptions) (types.Page[types.Secret], error) { return c.ListSecrets(ctx, "", o) })
	case declare.Policy:
		return everyOne(kind, func(o client.ListOptions) (types.Page[types.Policy], error) { return c.ListPolicies(ctx, o) })
	case declare.RoleBinding:
		return everyOne(kind, func(o client.ListOptions) (types.Page[types.RoleBinding], error) {
			return c.ListRoleBindings(ctx, client.BindingFilter{}, o)
		})
	case declare.Lock:
		return everyOne(kind, func(o client.ListOptions) (types.Page[types.Lock], error) { return c.ListLocks(ctx, o) })
	}
	return nil, nil
}

func everyOne[T any](kind string, page func(client.ListOptions) (types.Page[T], error)) ([]declare.Object, error) {
	items, err := everyPage(page)
	if err != nil {
		return nil, err
	}
	var out []declare.Object
	for _, one := range items {
		o, err := declare.There(kind, one)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

func everyPage[T any](page func(client.ListOptions) (types.Page[T], error)) ([]T, error) {
	var out []T
	options := client.ListOptions{Limit: types.MaxPage}
	for {
		found, err := page(options)
		if err != nil {
			return nil, err
		}
		out = append(out, found.Items...)
		if found.NextCursor == "" {
			return out, nil
		}
		options.Cursor = found.NextCursor
	}
}
