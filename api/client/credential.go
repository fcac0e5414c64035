package client

import (
	"context"
	"net/http"
	"net/url"

	"broker/api/types"
)

const (
	groupsPath = "/api/v1/groups"
	tokensPath = "/api/v1/tokens"
	authPath   = "/api/v1/auth"
)

func groupPath(name string) string { return groupsPath + "/" + url.PathEscape(name) }

func clientSecretsPath(account string) string { return accountPath(account) + "/client-secrets" }

// CreateAccount makes an account.
func (c *Client) CreateAccount(ctx context.Context, spec types.AccountSpec, options ...Option) (types.Account, error) {
	var out types.Account
	err := c.do(ctx, "making account "+spec.Name, &call{method: http.MethodPost, path: accountsPath, body: spec, answer: &out}, options...)
	return out, err
}

// SetPassword gives an account another password, or none.
func (c *Client) SetPassword(ctx context.Context, account string, change types.PasswordChange, options ...Option) error {
	return c.do(ctx, "setting the password of account "+account, &call{method: http.MethodPost, path: accountPath(account) + "/password", body: change}, options...)
}

// CreateClientSecret makes a client secret. The answer alone holds it.
func (c *Client) CreateClientSecret(ctx context.Context, account string, spec types.ClientSecretSpec, options ...Option) (types.ClientSecret, error) {
	var out types.ClientSecret
	err := c.do(ctx, "making a client secret of account "+account, &call{method: http.MethodPost, path: clientSecretsPath(account), body: spec, answer: &out}, options...)
	return out, err
}

// ListClientSecrets returns a page of an account's client secrets, oldest first.
func (c *Client) ListClientSecrets(ctx context.Context, account string, list ListOptions, options ...Option) (types.Page[types.ClientSecret], error) {
	var out types.Page[types.ClientSecret]
	err := c.do(ctx, "listing the client secrets of account "+account, &call{method: http.MethodGet, path: clientSecretsPath(account), query: list.values(), answer: &out}, options...)
	return out, err
}

// DeleteClientSecret makes a client secret useless.
func (c *Client) DeleteClientSecret(ctx context.Context, account, id string, options ...Option) error {
	return c.do(ctx, "deleting client secret "+id, &call{method: http.MethodDelete, path: clientSecretsPath(account) + "/" + url.PathEscape(id)}, options...)
}

// CreateGroup makes a group.
func (c *Client) CreateGroup(ctx context.Context, spec types.GroupSpec, options ...Option) (types.Group, error) {
	var out types.Group
	err := c.do(ctx, "making group "+spec.Name, &call{method: http.MethodPost, path: groupsPath, body: spec, answer: &out}, options...)
	return out, err
}

// GetGroup returns a group.
func (c *Client) GetGroup(ctx context.Context, name string, options ...Option) (types.Group, error) {
	var out types.Group
	err := c.do(ctx, "getting group "+name, &call{method: http.MethodGet, path: groupPath(name), answer: &out}, options...)
	return out, err
}

// ListGroups returns a page of groups by name.
func (c *Client) ListGroups(ctx context.Context, list ListOptions, options ...Option) (types.Page[types.Group], error) {
	var out types.Page[types.Group]
	err := c.do(ctx, "listing groups", &call{method: http.MethodGet, path: groupsPath, query: list.values(), answer: &out}, options...)
	return out, err
}

// UpdateGroup changes a group and who is in it.
func (c *Client) UpdateGroup(ctx context.Context, name string, change types.GroupChange, options ...Option) (types.Group, error) {
	var out types.Group
	err := c.do(ctx, "updating group "+name, &call{method: http.MethodPatch, path: groupPath(name), body: change, answer: &out}, options...)
	return out, err
}

// DeleteGroup removes a group; its members' accounts stay.
func (c *Client) DeleteGroup(ctx context.Context, name string, options ...Option) error {
	return c.do(ctx, "deleting group "+name, &call{method: http.MethodDelete, path: groupPath(name)}, options...)
}

// CreateToken makes a token. The answer alone holds it.
func (c *Client) CreateToken(ctx context.Context, spec types.TokenSpec, options ...Option) (types.Token, error) {
	var out types.Token
	err := c.do(ctx, "making a token", &call{method: http.MethodPost, path: tokensPath, body: spec, answer: &out}, options...)
	return out, err
}

// ListTokens returns a page of tokens, oldest first; of one account, or of all that the caller may see.
func (c *Client) ListTokens(ctx context.Context, account string, list ListOptions, options ...Option) (types.Page[types.Token], error) {
	var out types.Page[types.Token]
	query := list.values()
	if account != "" {
		query.Set("account", account)
	}
	err := c.do(ctx, "listing tokens", &call{method: http.MethodGet, path: tokensPath, query: query, answer: &out}, options...)
	return out, err
}

// GetToken returns a token by its accessor; "self" is the one that is asked with.
func (c *Client) GetToken(ctx context.Context, accessor string, options ...Option) (types.Token, error) {
	var out types.Token
	err := c.do(ctx, "getting token "+accessor, &call{method: http.MethodGet, path: tokensPath + "/" + url.PathEscape(accessor), answer: &out}, options...)
	return out, err
}

// RenewToken renews the token that the client uses, where that ends when it is idle.
func (c *Client) RenewToken(ctx context.Context, options ...Option) (types.Token, error) {
	var out types.Token
	err := c.do(ctx, "renewing the token", &call{method: http.MethodPost, path: tokensPath + "/self/renew", answer: &out}, options...)
	return out, err
}

// DeleteToken deletes a token by its accessor, with those made with it, and returns all that are gone; "self" is the one
// that is asked with.
func (c *Client) DeleteToken(ctx context.Context, accessor string, options ...Option) ([]types.Token, error) {
	var out types.Page[types.Token]
	err := c.do(ctx, "deleting token "+accessor, &call{method: http.MethodDelete, path: tokensPath + "/" + url.PathEscape(accessor), answer: &out}, options...)
	return out.Items, err
}

// SignInClient gets a token by a client secret. The client needs none before.
func (c *Client) SignInClient(ctx context.Context, proof types.ClientSignIn, options ...Option) (types.Token, error) {
	var out types.Token
	err := c.do(ctx, "signing in with a client secret", &call{method: http.MethodPost, path: authPath + "/client", body: proof, answer: &out}, options...)
	return out, err
}

// SignInPassword gets a token by a password. The client needs none before. Errors do not quote the name: people type passwords
// into the wrong field.
func (c *Client) SignInPassword(ctx context.Context, proof types.PasswordSignIn, options ...Option) (types.Token, error) {
	var out types.Token
	err := c.do(ctx, "signing in with a password", &call{method: http.MethodPost, path: authPath + "/password", body: proof, answer: &out}, options...)
	return out, err
}

// Unwrap takes a value that waits to be taken once. The client needs no token of an account.
func (c *Client) Unwrap(ctx context.Context, token string, options ...Option) (types.Unwrapped, error) {
	var out types.Unwrapped
	err := c.do(ctx, "unwrapping", &call{method: http.MethodPost, path: authPath + "/unwrap", body: types.Unwrap{Token: token}, answer: &out}, options...)
	return out, err
}
