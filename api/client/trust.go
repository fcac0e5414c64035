package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"broker/api/types"
)

const (
	joinTokensPath  = "/api/v1/cluster/join-tokens"
	authoritiesPath = "/api/v1/cluster/authorities"
	gossipKeyPath   = "/api/v1/cluster/gossip-key"
)

// CreateJoinToken makes a token that lets nodes into the cluster. The answer alone holds the token.
func (c *Client) CreateJoinToken(ctx context.Context, spec types.JoinTokenSpec, options ...Option) (types.JoinToken, error) {
	var out types.JoinToken
	err := c.do(ctx, "making a join token", &call{method: http.MethodPost, path: joinTokensPath, body: spec, answer: &out}, options...)
	return out, err
}

// ListJoinTokens returns a page of join tokens, oldest first.
func (c *Client) ListJoinTokens(ctx context.Context, list ListOptions, options ...Option) (types.Page[types.JoinToken], error) {
	var out types.Page[types.JoinToken]
	err := c.do(ctx, "listing join tokens", &call{method: http.MethodGet, path: joinTokensPath, query: list.values(), answer: &out}, options...)
	return out, err
}

// DeleteJoinToken makes a join token useless.
func (c *Client) DeleteJoinToken(ctx context.Context, id string, options ...Option) error {
	return c.do(ctx, "deleting join token "+id, &call{method: http.MethodDelete, path: joinTokensPath + "/" + url.PathEscape(id)}, options...)
}

// ListAuthorities returns the cluster's certificate authorities, the one that signs first.
func (c *Client) ListAuthorities(ctx context.Context, options ...Option) (types.Page[types.Authority], error) {
	var out types.Page[types.Authority]
	err := c.do(ctx, "listing the cluster's authorities", &call{method: http.MethodGet, path: authoritiesPath, answer: &out}, options...)
	return out, err
}

// RotateAuthority makes a new authority, which signs from now on.
func (c *Client) RotateAuthority(ctx context.Context, options ...Option) (types.Authority, error) {
	var out types.Authority
	err := c.do(ctx, "rotating the cluster's authority", &call{method: http.MethodPost, path: authoritiesPath, answer: &out}, options...)
	return out, err
}

// RetireAuthority has an authority believed no more that does not sign any more.
func (c *Client) RetireAuthority(ctx context.Context, number uint64, options ...Option) error {
	return c.do(ctx, fmt.Sprintf("retiring authority %d", number), &call{method: http.MethodDelete, path: fmt.Sprintf("%s/%d", authoritiesPath, number)}, options...)
}

// RotateGossipKey makes a new key for gossip, which is used from now on.
func (c *Client) RotateGossipKey(ctx context.Context, options ...Option) error {
	return c.do(ctx, "rotating the key of gossip", &call{method: http.MethodPost, path: gossipKeyPath}, options...)
}
