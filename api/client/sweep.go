package client

import (
	"context"
	"net/http"

	"broker/api/types"
)

// Sweep compares the logins at a connection's outside systems with the leases, those of all
// connections when the name is empty.
func (c *Client) Sweep(ctx context.Context, connection string, options ...Option) (types.Page[types.SweepReport], error) {
	var out types.Page[types.SweepReport]
	err := c.do(ctx, "sweeping", &call{method: http.MethodPost, path: "/api/v1/sweep", body: types.SweepSpec{Connection: connection}, answer: &out}, options...)
	return out, err
}

// ListOrphans returns a page of the logins that no live lease knows.
func (c *Client) ListOrphans(ctx context.Context, list ListOptions, options ...Option) (types.Page[types.Orphan], error) {
	var out types.Page[types.Orphan]
	err := c.do(ctx, "listing orphans", &call{method: http.MethodGet, path: "/api/v1/orphans", query: list.values(), answer: &out}, options...)
	return out, err
}

// ConnectionHealth tells how a connection's outside systems are, those of all connections when the
// name is empty. The leader answers.
func (c *Client) ConnectionHealth(ctx context.Context, name string, options ...Option) (types.Page[types.ConnectionHealth], error) {
	var out types.Page[types.ConnectionHealth]
	path := "/api/v1/health/connections"
	if name != "" {
		path = connectionPath(name) + "/health"
	}
	err := c.do(ctx, "asking how connections are", &call{method: http.MethodGet, path: path, answer: &out}, options...)
	return out, err
}

// PauseConnection leaves a connection's outside systems alone for a time.
func (c *Client) PauseConnection(ctx context.Context, name string, spec types.PauseSpec, options ...Option) (types.Connection, error) {
	var out types.Connection
	err := c.do(ctx, "pausing connection "+name, &call{method: http.MethodPost, path: connectionPath(name) + "/pause", body: spec, answer: &out}, options...)
	return out, err
}

// ResumeConnection ends a pause.
func (c *Client) ResumeConnection(ctx context.Context, name string, options ...Option) (types.Connection, error) {
	var out types.Connection
	err := c.do(ctx, "resuming connection "+name, &call{method: http.MethodPost, path: connectionPath(name) + "/resume", answer: &out}, options...)
	return out, err
}
