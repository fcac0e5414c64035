package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"broker/api/types"
)

func memberPath(id, more string) string {
	return "/api/v1/cluster/members/" + url.PathEscape(id) + more
}

// GetMember returns how the node that answers sees one of the cluster's.
func (c *Client) GetMember(ctx context.Context, id string, options ...Option) (types.Member, error) {
	var out types.Member
	err := c.do(ctx, "getting the node", &call{method: http.MethodGet, path: memberPath(id, ""), answer: &out}, options...)
	return out, err
}

// RemoveMember removes a node from the cluster for ever; by force also when the nodes that stay and answer are no
// quorum.
func (c *Client) RemoveMember(ctx context.Context, id, reason string, force bool, options ...Option) error {
	query := url.Values{}
	if reason != "" {
		query.Set("reason", reason)
	}
	if force {
		query.Set("force", strconv.FormatBool(force))
	}
	return c.do(ctx, "removing the node", &call{method: http.MethodDelete, path: memberPath(id, ""), query: query}, options...)
}

// PromoteMember gives a node a vote.
func (c *Client) PromoteMember(ctx context.Context, id, reason string, options ...Option) (types.Member, error) {
	return c.changeMember(ctx, "promoting the node", memberPath(id, "/promote"), types.MemberChange{Reason: reason}, options)
}

// DemoteMember takes a node's vote away until it is promoted.
func (c *Client) DemoteMember(ctx context.Context, id, reason string, options ...Option) (types.Member, error) {
	return c.changeMember(ctx, "demoting the node", memberPath(id, "/demote"), types.MemberChange{Reason: reason}, options)
}

// LeaveMember has a node leave the cluster and stop. It returns when the node has agreed.
func (c *Client) LeaveMember(ctx context.Context, id string, options ...Option) (types.Member, error) {
	return c.changeMember(ctx, "having the node leave", memberPath(id, "/leave"), nil, options)
}

func (c *Client) changeMember(ctx context.Context, what, path string, body any, options []Option) (types.Member, error) {
	var out types.Member
	err := c.do(ctx, what, &call{method: http.MethodPost, path: path, body: body, answer: &out}, options...)
	return out, err
}

// TransferLeadership hands leadership to a node; to one that is fit when the name is empty.
func (c *Client) TransferLeadership(ctx context.Context, to string, options ...Option) (types.Transfer, error) {
	var out types.Transfer
	err := c.do(ctx, "handing leadership over", &call{method: http.MethodPost, path: "/api/v1/cluster/transfer", body: types.TransferSpec{To: to}, answer: &out}, options...)
	return out, err
}

// FinishUpgrade puts the highest feature level in force that every node reads.
func (c *Client) FinishUpgrade(ctx context.Context, options ...Option) (types.Upgrade, error) {
	var out types.Upgrade
	err := c.do(ctx, "finishing the upgrade", &call{method: http.MethodPost, path: "/api/v1/cluster/upgrade", answer: &out}, options...)
	return out, err
}
