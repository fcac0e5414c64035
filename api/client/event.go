package client

import (
	"context"
	"net/http"
	"strconv"

	"broker/api/types"
)

// ListEvents returns a page of the history that begins after a log index, oldest first. The events
// of one index are never parted, so a page may be longer than the limit.
func (c *Client) ListEvents(ctx context.Context, after uint64, limit int, options ...Option) (types.Page[types.Event], error) {
	var out types.Page[types.Event]
	query := ListOptions{Limit: limit}.values()
	query.Set("after", strconv.FormatUint(after, 10))
	err := c.do(ctx, "listing events", &call{method: http.MethodGet, path: "/api/v1/events", query: query, answer: &out}, options...)
	return out, err
}
