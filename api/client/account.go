package client

import (
	"context"
	"net/http"
	"net/url"

	"broker/api/types"
)

const accountsPath = "/api/v1/accounts"

func accountPath(name string) string { return accountsPath + "/" + url.PathEscape(name) }

// GetAccount returns an account.
func (c *Client) GetAccount(ctx context.Context, name string, options ...Option) (types.Account, error) {
	var out types.Account
	err := c.do(ctx, "getting account "+name, &call{method: http.MethodGet, path: accountPath(name), answer: &out}, options...)
	return out, err
}

// ListAccounts returns a page of accounts by name.
func (c *Client) ListAccounts(ctx context.Context, list ListOptions, options ...Option) (types.Page[types.Account], error) {
	var out types.Page[types.Account]
	err := c.do(ctx, "listing accounts", &call{method: http.MethodGet, path: accountsPath, query: list.values(), answer: &out}, options...)
	return out, err
}

// UpdateAccount changes an account. Disabling it revokes its leases.
func (c *Client) UpdateAccount(ctx context.Context, name string, change types.AccountChange, options ...Option) (types.Account, error) {
	var out types.Account
	err := c.do(ctx, "updating account "+name, &call{method: http.MethodPatch, path: accountPath(name), body: change, answer: &out}, options...)
	return out, err
}

// DeleteAccount removes an account that holds no live leases, with its tokens.
func (c *Client) DeleteAccount(ctx context.Context, name string, options ...Option) error {
	return c.do(ctx, "deleting account "+name, &call{method: http.MethodDelete, path: accountPath(name)}, options...)
}

// DeleteAccountWithLeases revokes an account's leases and removes it then.
func (c *Client) DeleteAccountWithLeases(ctx context.Context, name, reason string, options ...Option) (types.Operation, error) {
	return c.deleteWithLeases(ctx, "account "+name, accountPath(name), reason, options)
}
