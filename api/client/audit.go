package client

import (
	"context"
	"net/http"
	"time"

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

// AuditQuery chooses records of an audit log; empty fields choose all.
type AuditQuery struct {
	Node         string // whose log; empty: that of the node that answers
	Since, Until time.Time
	Account      string
	Action       string // lease:issue, or lease for all that begin with lease:
	Resource     string // in the words of permissions
	Result       string // ok, refused, failed, unanswered or unknown
	Request      string // id of the request
	Changes      bool   // leave out what changed nothing and went well
}

// ListAuditRecords returns a page of a node's audit log, newest first. A page may be short, or empty, and have a cursor: see
// [types.AuditRecords]. Pages of one reading are asked of one node only when the query names it.
func (c *Client) ListAuditRecords(ctx context.Context, query AuditQuery, list ListOptions, options ...Option) (types.AuditRecords, error) {
	var out types.AuditRecords
	values := list.values()
	for name, value := range map[string]string{
		"node": query.Node, "account": query.Account, "action": query.Action, "resource": query.Resource, "result": query.Result, "request": query.Request,
	} {
		setIf(values, name, value)
	}
	for name, at := range map[string]time.Time{"since": query.Since, "until": query.Until} {
		if !at.IsZero() {
			values.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	if query.Changes {
		values.Set("changes", "true")
	}
	err := c.do(ctx, "listing records of an audit log", &call{method: http.MethodGet, path: "/api/v1/audit/records", query: values, answer: &out}, options...)
	return out, err
}
