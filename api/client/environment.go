package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"broker/api/types"
)

const environmentsPath = "/api/v1/environments"

func environmentPath(name string) (string, error) {
	app, env, ok := strings.Cut(name, "/")
	if !ok || app == "" || env == "" || strings.Contains(env, "/") {
		return "", fmt.Errorf("%q is no name of an environment: want app/env, e.g. payments/production", name)
	}
	return environmentsPath + "/" + url.PathEscape(app) + "/" + url.PathEscape(env), nil
}

// CreateEnvironment makes an environment.
func (c *Client) CreateEnvironment(ctx context.Context, spec types.EnvironmentSpec, options ...Option) (types.Environment, error) {
	var out types.Environment
	err := c.do(ctx, "creating environment "+spec.Name, &call{method: http.MethodPost, path: environmentsPath, body: spec, answer: &out}, options...)
	return out, err
}

// GetEnvironment returns an environment.
func (c *Client) GetEnvironment(ctx context.Context, name string, options ...Option) (types.Environment, error) {
	var out types.Environment
	path, err := environmentPath(name)
	if err != nil {
		return out, err
	}
	err = c.do(ctx, "getting environment "+name, &call{method: http.MethodGet, path: path, answer: &out}, options...)
	return out, err
}

// ListEnvironments returns a page of environments by name.
func (c *Client) ListEnvironments(ctx context.Context, list ListOptions, options ...Option) (types.Page[types.Environment], error) {
	var out types.Page[types.Environment]
	err := c.do(ctx, "listing environments", &call{method: http.MethodGet, path: environmentsPath, query: list.values(), answer: &out}, options...)
	return out, err
}

// UpdateEnvironment changes an environment.
func (c *Client) UpdateEnvironment(ctx context.Context, name string, change types.EnvironmentChange, options ...Option) (types.Environment, error) {
	var out types.Environment
	path, err := environmentPath(name)
	if err != nil {
		return out, err
	}
	err = c.do(ctx, "updating environment "+name, &call{method: http.MethodPatch, path: path, body: change, answer: &out}, options...)
	return out, err
}

// DeleteEnvironment removes an environment that holds nothing.
func (c *Client) DeleteEnvironment(ctx context.Context, name string, options ...Option) error {
	path, err := environmentPath(name)
	if err != nil {
		return err
	}
	return c.do(ctx, "deleting environment "+name, &call{method: http.MethodDelete, path: path}, options...)
}

// DeleteEnvironmentWithLeases revokes an environment's leases and removes it then, with its secrets.
func (c *Client) DeleteEnvironmentWithLeases(ctx context.Context, name, reason string, options ...Option) (types.Operation, error) {
	path, err := environmentPath(name)
	if err != nil {
		return types.Operation{}, err
	}
	return c.deleteWithLeases(ctx, "environment "+name, path, reason, options)
}
