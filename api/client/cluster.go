package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"broker/api/types"
)

// GetCluster returns how the node that answers sees the cluster.
func (c *Client) GetCluster(ctx context.Context, options ...Option) (types.Cluster, error) {
	var out types.Cluster
	err := c.do(ctx, "getting the cluster's state", &call{method: http.MethodGet, path: "/api/v1/cluster", answer: &out}, options...)
	return out, err
}

// GetActivity returns what happened with leases in the last hour and what comes in the next, as the node that answers counts it.
func (c *Client) GetActivity(ctx context.Context, options ...Option) (types.Activity, error) {
	var out types.Activity
	err := c.do(ctx, "counting leases by the minute", &call{method: http.MethodGet, path: "/api/v1/cluster/activity", answer: &out}, options...)
	return out, err
}

// GetClusterAt returns how the node at one address sees the cluster. It makes a single try and needs
// no leader, so it shows what is left of a cluster that has lost its majority.
func (c *Client) GetClusterAt(ctx context.Context, address string) (types.Cluster, error) {
	var out types.Cluster
	address, err := NormalAddress(address)
	if err != nil {
		return out, err
	}
	one := &call{
		method: http.MethodGet, path: "/api/v1/cluster", answer: &out,
		query: url.Values{"consistency": {string(types.Stale)}}, header: http.Header{},
	}
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	tried := c.try(ctx, address, one, nil)
	switch err := c.redacted(tried.err); {
	case err == nil:
		return out, nil
	case !tried.answered:
		return out, &UnreachableError{Failures: []Failure{{address, err}}}
	default:
		return out, fmt.Errorf("asking %s: %w", address, err)
	}
}
