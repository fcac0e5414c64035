package client

import (
	"context"
	"net/http"
	"net/url"

	"broker/api/types"
)

const locksPath = "/api/v1/locks"

func lockPath(id string) string { return locksPath + "/" + url.PathEscape(id) }

// CreateLock stops issue and renew for a scope, and revokes what it covers when the spec asks for it.
func (c *Client) CreateLock(ctx context.Context, spec types.LockSpec, options ...Option) (types.Locked, error) {
	var out types.Locked
	err := c.do(ctx, "locking", &call{method: http.MethodPost, path: locksPath, body: spec, answer: &out}, options...)
	return out, err
}

// GetLock returns a lock.
func (c *Client) GetLock(ctx context.Context, id string, options ...Option) (types.Lock, error) {
	var out types.Lock
	err := c.do(ctx, "getting lock "+id, &call{method: http.MethodGet, path: lockPath(id), answer: &out}, options...)
	return out, err
}

// ListLocks returns a page of locks, oldest first.
func (c *Client) ListLocks(ctx context.Context, list ListOptions, options ...Option) (types.Page[types.Lock], error) {
	var out types.Page[types.Lock]
	err := c.do(ctx, "listing locks", &call{method: http.MethodGet, path: locksPath, query: list.values(), answer: &out}, options...)
	return out, err
}

// UpdateLock changes a lock's reason or end.
func (c *Client) UpdateLock(ctx context.Context, id string, change types.LockChange, options ...Option) (types.Lock, error) {
	var out types.Lock
	err := c.do(ctx, "updating lock "+id, &call{method: http.MethodPatch, path: lockPath(id), body: change, answer: &out}, options...)
	return out, err
}

// DeleteLock unlocks.
func (c *Client) DeleteLock(ctx context.Context, id string, options ...Option) error {
	return c.do(ctx, "deleting lock "+id, &call{method: http.MethodDelete, path: lockPath(id)}, options...)
}
