package client

import (
	"context"
	"net/http"
	"net/url"

	"broker/api/types"
)

const (
	rolesPath    = "/api/v1/roles"
	bindingsPath = "/api/v1/role-bindings"
)

func bindingPath(id string) string { return bindingsPath + "/" + url.PathEscape(id) }

// ListRoles returns the roles there are, the mightiest first.
func (c *Client) ListRoles(ctx context.Context, options ...Option) (types.Page[types.Role], error) {
	var out types.Page[types.Role]
	err := c.do(ctx, "listing roles", &call{method: http.MethodGet, path: rolesPath, answer: &out}, options...)
	return out, err
}

// GetRole returns a role.
func (c *Client) GetRole(ctx context.Context, name string, options ...Option) (types.Role, error) {
	var out types.Role
	err := c.do(ctx, "getting role "+name, &call{method: http.MethodGet, path: rolesPath + "/" + url.PathEscape(name), answer: &out}, options...)
	return out, err
}

// BindingFilter chooses bindings; empty fields choose all.
type BindingFilter struct{ Role, Account, Group, Scope string }

// ListRoleBindings returns a page of bindings in the order of their making.
func (c *Client) ListRoleBindings(ctx context.Context, filter BindingFilter, list ListOptions, options ...Option) (types.Page[types.RoleBinding], error) {
	query := list.values()
	for name, value := range map[string]string{"role": filter.Role, "account": filter.Account, "group": filter.Group, "scope": filter.Scope} {
		if value != "" {
			query.Set(name, value)
		}
	}
	var out types.Page[types.RoleBinding]
	err := c.do(ctx, "listing role bindings", &call{method: http.MethodGet, path: bindingsPath, query: query, answer: &out}, options...)
	return out, err
}

// GetRoleBinding returns a binding.
func (c *Client) GetRoleBinding(ctx context.Context, id string, options ...Option) (types.RoleBinding, error) {
	var out types.RoleBinding
	err := c.do(ctx, "getting role binding "+id, &call{method: http.MethodGet, path: bindingPath(id), answer: &out}, options...)
	return out, err
}

// CreateRoleBinding gives a role.
func (c *Client) CreateRoleBinding(ctx context.Context, spec types.RoleBindingSpec, options ...Option) (types.RoleBinding, error) {
	var out types.RoleBinding
	err := c.do(ctx, "giving role "+spec.Role, &call{method: http.MethodPost, path: bindingsPath, body: spec, answer: &out}, options...)
	return out, err
}

// DeleteRoleBinding takes a role away.
func (c *Client) DeleteRoleBinding(ctx context.Context, id string, options ...Option) error {
	return c.do(ctx, "deleting role binding "+id, &call{method: http.MethodDelete, path: bindingPath(id)}, options...)
}
