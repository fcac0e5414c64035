package client

import (
	"context"
	"net/http"
	"net/url"

	"broker/api/types"
)

const accessPath = "/api/v1/access"

// Explain says whether an account may do something, and why.
func (c *Client) Explain(ctx context.Context, spec types.ExplainSpec, options ...Option) (types.Explanation, error) {
	var out types.Explanation
	err := c.do(ctx, "explaining what "+spec.Account+" may do", &call{method: http.MethodPost, path: accessPath + "/explain", body: spec, answer: &out}, options...)
	return out, err
}

// Question asks whether one may do something.
type Question struct{ Action, Resource string }

// Can says what the client's own account may do, by its token: an answer to each question, in their order. 200 questions at the most,
// and no more than fit into a URL.
func (c *Client) Can(ctx context.Context, questions []Question, options ...Option) ([]types.Answer, error) {
	var out types.Page[types.Answer]
	query := url.Values{}
	for _, one := range questions {
		query.Add("question", one.Action+" "+one.Resource)
	}
	err := c.do(ctx, "asking what one may do", &call{method: http.MethodGet, path: accessPath + "/can", query: query, answer: &out}, options...)
	return out.Items, err
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
