package client

import (
	"context"
	"net/http"
	"net/url"

	"broker/api/types"
)

// ListProviders returns the descriptions of all providers.
func (c *Client) ListProviders(ctx context.Context, options ...Option) (types.Page[types.Provider], error) {
	var out types.Page[types.Provider]
	err := c.do(ctx, "listing providers", &call{method: http.MethodGet, path: "/api/v1/providers", answer: &out}, options...)
	return out, err
}

// GetProvider returns the description of one provider.
func (c *Client) GetProvider(ctx context.Context, name string, options ...Option) (types.Provider, error) {
	var out types.Provider
	err := c.do(ctx, "getting provider "+name, &call{method: http.MethodGet, path: "/api/v1/providers/" + url.PathEscape(name), answer: &out}, options...)
	return out, err
}
