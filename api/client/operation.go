package client

import (
	"context"
	"net/http"
	"net/url"

	"broker/api/types"
)

const operationsPath = "/api/v1/operations"

func operationPath(id string) string { return operationsPath + "/" + url.PathEscape(id) }

// ListOperations returns a page of operations, newest first; of one state unless it is empty.
func (c *Client) ListOperations(ctx context.Context, state string, list ListOptions, options ...Option) (types.Page[types.Operation], error) {
	var out types.Page[types.Operation]
	query := list.values()
	setIf(query, "state", state)
	err := c.do(ctx, "listing operations", &call{method: http.MethodGet, path: operationsPath, query: query, answer: &out}, options...)
	return out, err
}

// GetOperation returns an operation with its progress.
func (c *Client) GetOperation(ctx context.Context, id string, options ...Option) (types.Operation, error) {
	var out types.Operation
	err := c.do(ctx, "getting operation "+id, &call{method: http.MethodGet, path: operationPath(id), answer: &out}, options...)
	return out, err
}

// CancelOperation stops an operation. What it has begun goes on.
func (c *Client) CancelOperation(ctx context.Context, id string, options ...Option) (types.Operation, error) {
	var out types.Operation
	err := c.do(ctx, "cancelling operation "+id, &call{method: http.MethodPost, path: operationPath(id) + "/cancel", answer: &out}, options...)
	return out, err
}

// StartOperation begins an operation of a kind (revoke, retry or forget) on many leases. With [DryRun]
// it only counts them.
func (c *Client) StartOperation(ctx context.Context, kind string, spec types.BulkSpec, options ...Option) (types.Operation, error) {
	var out types.Operation
	what := map[string]string{"revoke": "revoking", "retry": "retrying", "forget": "forgetting"}[kind] + " leases"
	err := c.do(ctx, what, &call{method: http.MethodPost, path: leasesPath + "/" + kind, body: spec, answer: &out}, options...)
	return out, err
}

// deleteWithLeases begins the operation that revokes an object's leases and deletes it then.
func (c *Client) deleteWithLeases(ctx context.Context, what, path, reason string, options []Option) (types.Operation, error) {
	var out types.Operation
	query := url.Values{"revoke_leases": {"true"}}
	setIf(query, "reason", reason)
	err := c.do(ctx, "deleting "+what+" with its leases", &call{method: http.MethodDelete, path: path, query: query, answer: &out}, options...)
	return out, err
}
