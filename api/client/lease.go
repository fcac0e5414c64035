package client

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"broker/api/types"
)

const leasesPath = "/api/v1/leases"

func leasePath(id string) string { return leasesPath + "/" + url.PathEscape(id) }

// LeaseSelector selects leases; empty fields select all.
type LeaseSelector struct {
	IDs           []string // any of them
	Environments  []string // names or patterns: app/env, app/*, *
	Secret        string   // full name
	Connection    string
	Account       string
	Username      string
	Labels        map[string]string
	States        []string // pending, active, revoking, revoked, expired, failed, overdue, stuck, missing, forgotten
	Token         string   // accessor of the token it was issued with
	Operation     string   // the one that revokes them
	IssuedAfter   time.Time
	IssuedBefore  time.Time
	ExpiresAfter  time.Time
	ExpiresBefore time.Time
	Sort          string // "-created_at" (newest first, the default) or "created_at"
}

func (s LeaseSelector) addTo(values url.Values) {
	for _, id := range s.IDs {
		values.Add("id", id)
	}
	for _, environment := range s.Environments {
		values.Add("environment", environment)
	}
	for _, state := range s.States {
		values.Add("state", state)
	}
	for key, value := range s.Labels {
		values.Add("label", key+"="+value)
	}
	setIf(values, "secret", s.Secret)
	setIf(values, "connection", s.Connection)
	setIf(values, "account", s.Account)
	setIf(values, "username", s.Username)
	setIf(values, "token", s.Token)
	setIf(values, "operation", s.Operation)
	setIf(values, "sort", s.Sort)
	for name, at := range map[string]time.Time{
		"issued_after": s.IssuedAfter, "issued_before": s.IssuedBefore,
		"expires_after": s.ExpiresAfter, "expires_before": s.ExpiresBefore,
	} {
		if !at.IsZero() {
			values.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
}

// Wire returns the selector as bodies of requests hold it, without the order.
func (s LeaseSelector) Wire() types.LeaseSelector {
	out := types.LeaseSelector{
		ID: s.IDs, Environment: s.Environments, Secret: s.Secret, Connection: s.Connection, Account: s.Account, Username: s.Username,
		State: s.States, Token: s.Token, Operation: s.Operation,
		IssuedAfter: s.IssuedAfter, IssuedBefore: s.IssuedBefore, ExpiresAfter: s.ExpiresAfter, ExpiresBefore: s.ExpiresBefore,
	}
	for key, value := range s.Labels {
		out.Label = append(out.Label, key+"="+value)
	}
	slices.Sort(out.Label) // the same request has the same body
	return out
}

// IssueLease makes a credential from a secret, named in full. The values are shown this once.
func (c *Client) IssueLease(ctx context.Context, secret string, spec types.IssueSpec, options ...Option) (types.Issued, error) {
	var out types.Issued
	path, err := secretPath(secret)
	if err != nil {
		return out, err
	}
	err = c.do(ctx, "issuing a lease of "+secret, &call{method: http.MethodPost, path: path + "/leases", body: spec, answer: &out}, options...)
	return out, err
}

// GetLease returns a lease, without its values.
func (c *Client) GetLease(ctx context.Context, id string, options ...Option) (types.Lease, error) {
	var out types.Lease
	err := c.do(ctx, "getting lease "+id, &call{method: http.MethodGet, path: leasePath(id), answer: &out}, options...)
	return out, err
}

// ListLeases returns a page of the leases that the selector selects.
func (c *Client) ListLeases(ctx context.Context, selector LeaseSelector, list ListOptions, options ...Option) (types.Page[types.Lease], error) {
	var out types.Page[types.Lease]
	query := list.values()
	selector.addTo(query)
	err := c.do(ctx, "listing leases", &call{method: http.MethodGet, path: leasesPath, query: query, answer: &out}, options...)
	return out, err
}

// RenewLease moves a lease's end.
func (c *Client) RenewLease(ctx context.Context, id string, spec types.RenewSpec, options ...Option) (types.Lease, error) {
	var out types.Lease
	err := c.do(ctx, "renewing lease "+id, &call{method: http.MethodPost, path: leasePath(id) + "/renew", body: spec, answer: &out}, options...)
	return out, err
}

// RevokeLease ends a lease. The answer is still in state revoking when that takes longer than a few
// seconds; it goes on by itself.
func (c *Client) RevokeLease(ctx context.Context, id string, spec types.RevokeSpec, options ...Option) (types.Lease, error) {
	var out types.Lease
	err := c.do(ctx, "revoking lease "+id, &call{method: http.MethodPost, path: leasePath(id) + "/revoke", body: spec, answer: &out}, options...)
	return out, err
}

// RetryLease has the login of a lease whose end has begun removed now.
func (c *Client) RetryLease(ctx context.Context, id string, options ...Option) (types.Lease, error) {
	var out types.Lease
	err := c.do(ctx, "retrying lease "+id, &call{method: http.MethodPost, path: leasePath(id) + "/retry", answer: &out}, options...)
	return out, err
}

// ForgetLease gives up the login of a lease whose end has begun. The login may still exist.
func (c *Client) ForgetLease(ctx context.Context, id string, spec types.ForgetSpec, options ...Option) (types.Lease, error) {
	var out types.Lease
	err := c.do(ctx, "forgetting lease "+id, &call{method: http.MethodPost, path: leasePath(id) + "/forget", body: spec, answer: &out}, options...)
	return out, err
}

// LeaseEvents returns a lease's history, oldest first.
func (c *Client) LeaseEvents(ctx context.Context, id string, options ...Option) (types.Page[types.Event], error) {
	var out types.Page[types.Event]
	err := c.do(ctx, "getting the history of lease "+id, &call{method: http.MethodGet, path: leasePath(id) + "/events", answer: &out}, options...)
	return out, err
}
