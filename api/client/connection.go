package client

import (
	"context"
	"net/http"
	"net/url"

	"broker/api/types"
)

const connectionsPath = "/api/v1/connections"

func connectionPath(name string) string { return connectionsPath + "/" + url.PathEscape(name) }

// CreateConnection makes a connection, after a check of the outside system unless the spec skips it.
func (c *Client) CreateConnection(ctx context.Context, spec types.ConnectionSpec, options ...Option) (types.Connection, error) {
	var out types.Connection
	err := c.do(ctx, "creating connection "+spec.Name, &call{method: http.MethodPost, path: connectionsPath, body: spec, answer: &out}, options...)
	return out, err
}

// GetConnection returns a connection, without its secret fields.
func (c *Client) GetConnection(ctx context.Context, name string, options ...Option) (types.Connection, error) {
	var out types.Connection
	err := c.do(ctx, "getting connection "+name, &call{method: http.MethodGet, path: connectionPath(name), answer: &out}, options...)
	return out, err
}

// ListConnections returns a page of connections by name.
func (c *Client) ListConnections(ctx context.Context, list ListOptions, options ...Option) (types.Page[types.Connection], error) {
	var out types.Page[types.Connection]
	err := c.do(ctx, "listing connections", &call{method: http.MethodGet, path: connectionsPath, query: list.values(), answer: &out}, options...)
	return out, err
}

// UpdateConnection changes a connection.
func (c *Client) UpdateConnection(ctx context.Context, name string, change types.ConnectionChange, options ...Option) (types.Connection, error) {
	var out types.Connection
	err := c.do(ctx, "updating connection "+name, &call{method: http.MethodPatch, path: connectionPath(name), body: change, answer: &out}, options...)
	return out, err
}

// DeleteConnection removes a connection that no secret uses.
func (c *Client) DeleteConnection(ctx context.Context, name string, options ...Option) error {
	return c.do(ctx, "deleting connection "+name, &call{method: http.MethodDelete, path: connectionPath(name)}, options...)
}

// CheckConnection asks the outside system whether it is reachable and the root credential suffices.
func (c *Client) CheckConnection(ctx context.Context, name string, options ...Option) (types.ConnectionCheck, error) {
	var out types.ConnectionCheck
	err := c.do(ctx, "checking connection "+name, &call{method: http.MethodPost, path: connectionPath(name) + "/check", answer: &out}, options...)
	return out, err
}

// RotateConnection exchanges the connection's root credential for a new one and waits a few seconds for the end of
// that. A rotation that the answer shows as rotating or retiring goes on by itself.
func (c *Client) RotateConnection(ctx context.Context, name string, options ...Option) (types.Connection, error) {
	var out types.Connection
	err := c.do(ctx, "rotating the root credential of connection "+name, &call{method: http.MethodPost, path: connectionPath(name) + "/rotate", answer: &out}, options...)
	return out, err
}

// CancelRotation gives up the rotation of the connection's root credential that is under way.
func (c *Client) CancelRotation(ctx context.Context, name, reason string, options ...Option) (types.Connection, error) {
	var out types.Connection
	err := c.do(ctx, "giving up the rotation of connection "+name, &call{method: http.MethodPost, path: connectionPath(name) + "/rotate/cancel", body: types.RotationCancel{Reason: reason}, answer: &out}, options...)
	return out, err
}

// DeleteConnectionWithLeases revokes a connection's leases and removes it then, with the secrets that
// use it.
func (c *Client) DeleteConnectionWithLeases(ctx context.Context, name, reason string, options ...Option) (types.Operation, error) {
	return c.deleteWithLeases(ctx, "connection "+name, connectionPath(name), reason, options)
}
