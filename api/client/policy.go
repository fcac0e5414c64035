package client

import (
	"context"
	"net/http"
	"net/url"

	"broker/api/types"
)

const policiesPath = "/api/v1/policies"

func policyPath(name string) string { return policiesPath + "/" + url.PathEscape(name) }

// CreatePolicy makes a policy.
func (c *Client) CreatePolicy(ctx context.Context, spec types.PolicySpec, options ...Option) (types.Policy, error) {
	var out types.Policy
	err := c.do(ctx, "creating policy "+spec.Name, &call{method: http.MethodPost, path: policiesPath, body: spec, answer: &out}, options...)
	return out, err
}

// GetPolicy returns a policy.
func (c *Client) GetPolicy(ctx context.Context, name string, options ...Option) (types.Policy, error) {
	var out types.Policy
	err := c.do(ctx, "getting policy "+name, &call{method: http.MethodGet, path: policyPath(name), answer: &out}, options...)
	return out, err
}

// ListPolicies returns a page of policies by name.
func (c *Client) ListPolicies(ctx context.Context, list ListOptions, options ...Option) (types.Page[types.Policy], error) {
	var out types.Page[types.Policy]
	err := c.do(ctx, "listing policies", &call{method: http.MethodGet, path: policiesPath, query: list.values(), answer: &out}, options...)
	return out, err
}

// UpdatePolicy changes a policy.
func (c *Client) UpdatePolicy(ctx context.Context, name string, change types.PolicyChange, options ...Option) (types.Policy, error) {
	var out types.Policy
	err := c.do(ctx, "updating policy "+name, &call{method: http.MethodPatch, path: policyPath(name), body: change, answer: &out}, options...)
	return out, err
}

// DeletePolicy removes a policy.
func (c *Client) DeletePolicy(ctx context.Context, name string, options ...Option) error {
	return c.do(ctx, "deleting policy "+name, &call{method: http.MethodDelete, path: policyPath(name)}, options...)
}
