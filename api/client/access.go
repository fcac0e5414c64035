package client

import (
	"context"
	"net/http"

	"broker/api/types"
)

const accessPath = "/api/v1/access"

// Explain says whether an account may do something, and why.
func (c *Client) Explain(ctx context.Context, spec types.ExplainSpec, options ...Option) (types.Explanation, error) {
	var out types.Explanation
	err := c.do(ctx, "explaining what "+spec.Account+" may do", &call{method: http.MethodPost, path: accessPath + "/explain", body: spec, answer: &out}, options...)
	return out, err
}

// WhoCan says who may do something.
func (c *Client) WhoCan(ctx context.Context, spec types.WhoCanSpec, options ...Option) (types.WhoCan, error) {
	var out types.WhoCan
	err := c.do(ctx, "asking who may "+spec.Action, &call{method: http.MethodPost, path: accessPath + "/who-can", body: spec, answer: &out}, options...)
	return out, err
}

// AccessReport returns a page of who may do what where. The rows of one account stay together, so that there may be
// more than the limit, or fewer though there is more.
func (c *Client) AccessReport(ctx context.Context, list ListOptions, options ...Option) (types.Page[types.AccessRow], error) {
	var out types.Page[types.AccessRow]
	err := c.do(ctx, "reporting who may do what", &call{method: http.MethodGet, path: accessPath + "/report", query: list.values(), answer: &out}, options...)
	return out, err
}
