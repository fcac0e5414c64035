package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"broker/access"
	"broker/api/types"
	"broker/fsm"
)

// ClockRepair asks for the ledger's clock to be set back.
type ClockRepair struct {
	Keyed
	Body types.ClockRepairSpec
}

func (ClockRepair) resource() Resource { return Resource{Kind: access.KindCluster} }

func (r *routes) clock() {
	s := r.server
	register(r, route{id: "clock-repair", action: "cluster:repair-clock", method: http.MethodPost, path: "/cluster/clock/repair", summary: "Set the ledger's clock back to the time when it went ahead, with the leases issued meanwhile"}, s.repairClock)
}

func (s *Server) repairClock(ctx context.Context, c *call, in *ClockRepair) (*body[types.ClockRepair], error) {
	done, err := s.config.Broker.RepairClock(ctx, c.request(in.DryRun), in.Body.Reason)
	if err != nil {
		return nil, err
	}
	return &body[types.ClockRepair]{types.ClockRepair{
		Repaired: done.From != done.To, From: done.From.Time(), To: done.To.Time(),
		AheadMS: done.From.Sub(done.To).Milliseconds(), Leases: done.Leases, Tokens: done.Tokens,
	}}, nil
}

// tellClock adds what the ledger's clock says, and a warning when it is ahead of this node's.
func (s *Server) tellClock(out *types.Cluster, clock fsm.Instant) {
	if clock.IsZero() {
		return
	}
	at := clock.Time()
	ahead := at.Sub(s.config.Now())
	out.ClockAt, out.ClockAheadMS = &at, ahead.Milliseconds()
	if ahead > fsm.MaxClockStep {
		out.Warnings = append(out.Warnings, fmt.Sprintf(
			"the ledger's clock is %s ahead of node %s: leases live too long; when the nodes' clocks are right, repair it (brokerctl cluster clock repair)",
			ahead.Round(time.Second), out.Node))
	}
}
