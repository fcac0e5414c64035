package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"broker/api/client"
	"broker/api/types"
	"broker/cmd/brokerctl/internal/declare"
)

// sender makes the changes of a plan.
type sender struct {
	client       *client.Client
	skipCheck    bool // connections are saved without asking the outside systems
	revokeLeases bool // secrets are deleted together with their leases
}

// send makes one change, or has it tried, and returns what the broker answered.
func (s sender) send(ctx context.Context, action declare.Action, options ...client.Option) (any, error) {
	if action.Verb == declare.Create {
		return s.sendNew(ctx, action.Want, options)
	}
	c := s.client
	options = append(slices.Clone(options), client.IfVersion(action.Have.Version))
	switch {
	case action.Verb == declare.Delete && s.revokeLeases:
		return c.DeleteSecretWithLeases(ctx, action.Have.Name, "it is in no file any more", options...)
	case action.Verb == declare.Delete:
		return nil, c.DeleteSecret(ctx, action.Have.Name, options...)
	}
	body := map[string]any{}
	for _, change := range action.Changes {
		member, name, nested := strings.Cut(change.Path, ".")
		if !nested {
			body[member] = change.To
			continue
		}
		group, _ := body[member].(map[string]any)
		if group == nil {
			group = map[string]any{}
			body[member] = group
		}
		group[name] = change.To
		if secret, ok := action.Want.Secrets[name]; ok {
			group[name] = secret.Reveal()
		}
	}
	name := action.Want.Name
	switch action.Want.Kind {
	case declare.Environment:
		return sent(body, func(change types.EnvironmentChange) (types.Environment, error) {
			return c.UpdateEnvironment(ctx, name, change, options...)
		})
	case declare.User, declare.Service:
		return sent(body, func(change types.AccountChange) (types.Account, error) {
			return c.UpdateAccount(ctx, name, change, options...)
		})
	case declare.Group:
		if members, ok := body["members"]; ok {
			before, after := action.Have.Texts("members"), declare.TextsOf(members)
			delete(body, "members")
			body["add"], body["remove"] = without(after, before), without(before, after)
		}
		return sent(body, func(change types.GroupChange) (types.Group, error) {
			return c.UpdateGroup(ctx, name, change, options...)
		})
	case declare.Connection:
		return sent(body, func(change types.ConnectionChange) (types.Connection, error) {
			change.SkipCheck = s.skipCheck
			return c.UpdateConnection(ctx, name, change, options...)
		})
	case declare.Secret:
		return sent(body, func(change types.SecretChange) (types.Secret, error) {
			return c.UpdateSecret(ctx, name, change, options...)
		})
	case declare.Policy:
		return sent(body, func(change types.PolicyChange) (types.Policy, error) {
			return c.UpdatePolicy(ctx, name, change, options...)
		})
	case declare.Lock:
		if until, ok := body["until"]; ok && until == "" {
			delete(body, "until")
			body["no_end"] = true
		}
		return sent(body, func(change types.LockChange) (types.Lock, error) {
			return c.UpdateLock(ctx, action.Have.ID, change, options...)
		})
	}
	return nil, fmt.Errorf("a %s cannot be changed", action.Want.Kind)
}

func (s sender) sendNew(ctx context.Context, o declare.Object, options []client.Option) (any, error) {
	c := s.client
	body := map[string]any{}
	for name, value := range o.Fields {
		body[name] = value
	}
	switch o.Kind {
	case declare.Environment:
		return sent(body, func(spec types.EnvironmentSpec) (types.Environment, error) {
			return c.CreateEnvironment(ctx, spec, options...)
		})
	case declare.User, declare.Service:
		return sent(body, func(spec types.AccountSpec) (types.Account, error) {
			spec.Kind = o.Kind
			return c.CreateAccount(ctx, spec, options...)
		})
	case declare.Group:
		return sent(body, func(spec types.GroupSpec) (types.Group, error) { return c.CreateGroup(ctx, spec, options...) })
	case declare.Connection:
		settings := map[string]any{}
		if given, ok := body["settings"].(map[string]any); ok {
			for name, value := range given {
				settings[name] = value
			}
		}
		for name, value := range o.Secrets {
			settings[name] = value.Reveal()
		}
		body["settings"] = settings
		return sent(body, func(spec types.ConnectionSpec) (types.Connection, error) {
			spec.SkipCheck = s.skipCheck
			return c.CreateConnection(ctx, spec, options...)
		})
	case declare.Secret:
		return sent(body, func(spec types.SecretSpec) (types.Secret, error) {
			return c.CreateSecret(ctx, o.Fields["environment"].(string), spec, options...)
		})
	case declare.Policy:
		return sent(body, func(spec types.PolicySpec) (types.Policy, error) { return c.CreatePolicy(ctx, spec, options...) })
	case declare.RoleBinding:
		return sent(body, func(spec types.RoleBindingSpec) (types.RoleBinding, error) {
			return c.CreateRoleBinding(ctx, spec, options...)
		})
	case declare.Lock:
		return sent(body, func(spec types.LockSpec) (types.Lock, error) {
			made, err := c.CreateLock(ctx, spec, options...)
			return made.Lock, err
		})
	}
	return nil, fmt.Errorf("there is no kind %q", o.Kind)
}

// sent reads a body as what the API takes, by the names of its fields, and sends it.
func sent[B, T any](body map[string]any, send func(B) (T, error)) (any, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encoding a change: %w", err)
	}
	var typed B
	if err := json.Unmarshal(data, &typed); err != nil {
		return nil, fmt.Errorf("encoding a change: %w", err)
	}
	return send(typed)
}

// without returns the texts that are not among the others.
func without(texts, others []string) []string {
	return slices.DeleteFunc(slices.Clone(texts), func(text string) bool { return slices.Contains(others, text) })
}
