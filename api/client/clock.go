package client

import (
	"context"
	"net/http"

	"broker/api/types"
)

// RepairClock sets the ledger's clock back to the time when it went ahead, and the ends of the leases
// issued meanwhile with it.
func (c *Client) RepairClock(ctx context.Context, reason string, options ...Option) (types.ClockRepair, error) {
	var out types.ClockRepair
	err := c.do(ctx, "repairing the ledger's clock", &call{
		method: http.MethodPost, path: "/api/v1/cluster/clock/repair", body: types.ClockRepairSpec{Reason: reason}, answer: &out,
	}, options...)
	return out, err
}
