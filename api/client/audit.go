package client

import (
	"context"
	"net/http"

	"broker/api/types"
)

// ListAuditAnchors returns a page of the places where audit logs were anchored; of one node, or of all when node is
// empty.
func (c *Client) ListAuditAnchors(ctx context.Context, node string, list ListOptions, options ...Option) (types.Page[types.AuditAnchor], error) {
	var out types.Page[types.AuditAnchor]
	query := list.values()
	if node != "" {
		query.Set("node", node)
	}
	err := c.do(ctx, "listing anchors of audit logs", &call{method: http.MethodGet, path: "/api/v1/audit/anchors", query: query, answer: &out}, options...)
	return out, err
}

// HashForAudit returns what audit logs say instead of a value.
func (c *Client) HashForAudit(ctx context.Context, value string, options ...Option) (string, error) {
	var out types.AuditHash
	err := c.do(ctx, "hashing a value", &call{method: http.MethodPost, path: "/api/v1/audit/hash", body: types.AuditHashSpec{Value: value}, answer: &out}, options...)
	return out.Hash, err
}
