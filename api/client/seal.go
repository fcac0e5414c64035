package client

import (
	"context"
	"net/http"

	"broker/api/types"
)

const sealPath = "/api/v1/seal"

// GetSeal returns the sealing keys, and how far an exchange of them is.
func (c *Client) GetSeal(ctx context.Context, options ...Option) (types.SealStatus, error) {
	var out types.SealStatus
	err := c.do(ctx, "reading the seal", &call{method: http.MethodGet, path: sealPath, answer: &out}, options...)
	return out, err
}

// RotateSeal begins to exchange the sealing key, which goes on by itself.
func (c *Client) RotateSeal(ctx context.Context, options ...Option) (types.SealStatus, error) {
	var out types.SealStatus
	err := c.do(ctx, "exchanging the sealing key", &call{method: http.MethodPost, path: sealPath + "/rotate", answer: &out}, options...)
	return out, err
}
