package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"broker/access"
	"broker/api/types"
	"broker/broker"
	"broker/fsm"
	"broker/providers"
)

// SweepNow asks for a sweep. It has no dry run: what it finds is recorded.
type SweepNow struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"Taken and not needed: a sweep may be repeated"`
	Body           *types.SweepSpec
}

func (in SweepNow) resource() Resource {
	on := Resource{Kind: access.KindConnection}
	if in.Body != nil {
		on.Name = in.Body.Connection
	}
	return on
}

// OrphanList asks for orphans.
type OrphanList struct{ Paged }

func (OrphanList) resource() Resource { return Resource{Kind: access.KindOrphan} }

// HealthList asks how all outside systems are.
type HealthList struct{ Read }

func (HealthList) resource() Resource { return Resource{Kind: access.KindConnection} }

func (r *routes) sweeps() {
	s := r.server
	register(r, route{id: "sweep", action: "connection:sweep", method: http.MethodPost, path: "/sweep", summary: "Compare the logins at outside systems with the leases, now"}, s.sweepNow)
	register(r, route{id: "orphan-list", action: "orphan:list", method: http.MethodGet, path: "/orphans", summary: "List logins that no live lease knows, as the newest sweeps saw them"}, s.listOrphans)
	register(r, route{id: "connection-health-list", action: "connection:get", method: http.MethodGet, path: "/health/connections", summary: "Tell how all outside systems are, as the leader knows"}, s.listHealth)
	register(r, route{id: "connection-health", action: "connection:get", method: http.MethodGet, path: "/connections/{name}/health", summary: "Tell how a connection's outside systems are, as the leader knows"}, s.getHealth)
}

func (s *Server) sweepNow(ctx context.Context, c *call, in *SweepNow) (*body[types.Page[types.SweepReport]], error) {
	var name fsm.ConnectionName
	if in.Body != nil {
		name = fsm.ConnectionName(in.Body.Connection)
	}
	reports, err := s.config.Broker.SweepNow(ctx, c.request(false), name)
	if err != nil {
		return nil, err
	}
	out := body[types.Page[types.SweepReport]]{types.Page[types.SweepReport]{Items: []types.SweepReport{}}}
	err = s.view(c, func(view View) error {
		for _, one := range reports {
			out.Body.Items = append(out.Body.Items, s.reportOf(view, one))
		}
		return nil
	})
	return &out, err
}

func (s *Server) listOrphans(_ context.Context, c *call, in *OrphanList) (*body[types.Page[types.Orphan]], error) {
	text, err := in.after()
	if err != nil {
		return nil, err
	}
	after, err := orphanAt(text)
	if err != nil {
		return nil, err
	}
	var list []fsm.Orphan
	var out *body[types.Page[types.Orphan]]
	err = s.view(c, func(view View) error {
		list = view.AllOrphans(after, in.limit()+1)
		out = pageOf(list, in.limit(), func(o fsm.Orphan) types.Orphan { return orphanOf(view, o) }, placeOf)
		return nil
	})
	return out, err
}

// placeOf is what a cursor of orphans holds; names hold no blanks.
func placeOf(o fsm.Orphan) string {
	return string(o.Connection) + " " + strconv.FormatUint(o.System, 10) + " " + o.Username
}

func orphanAt(place string) (fsm.Orphan, error) {
	if place == "" {
		return fsm.Orphan{}, nil
	}
	parts := strings.SplitN(place, " ", 3)
	if len(parts) == 3 {
		if system, err := strconv.ParseUint(parts[1], 10, 64); err == nil {
			return fsm.Orphan{Connection: fsm.ConnectionName(parts[0]), System: system, Username: parts[2]}, nil
		}
	}
	return fsm.Orphan{}, invalid("cursor", "must be the next_cursor of an earlier answer")
}

func (s *Server) listHealth(ctx context.Context, c *call, _ *HealthList) (*body[types.Page[types.ConnectionHealth]], error) {
	return s.health(ctx, c, "")
}

func (s *Server) getHealth(ctx context.Context, c *call, in *ConnectionGet) (*body[types.Page[types.ConnectionHealth]], error) {
	return s.health(ctx, c, in.name())
}

func (s *Server) health(ctx context.Context, c *call, name fsm.ConnectionName) (*body[types.Page[types.ConnectionHealth]], error) {
	list, err := s.config.Broker.Health(ctx, name)
	if err != nil {
		return nil, err
	}
	out := body[types.Page[types.ConnectionHealth]]{types.Page[types.ConnectionHealth]{Items: []types.ConnectionHealth{}}}
	err = s.view(c, func(view View) error {
		for _, one := range list {
			out.Body.Items = append(out.Body.Items, types.ConnectionHealth{
				Connection:  string(one.Connection),
				System:      identityOf(view, one.Connection, one.System),
				Current:     one.Current,
				Available:   one.Available,
				Since:       instant(fsm.At(one.Since)),
				Error:       one.Err,
				NextTryAt:   instant(fsm.At(one.NextTry)),
				PausedUntil: instant(fsm.At(one.PausedUntil)),
				Waiting:     one.Waiting,
			})
		}
		return nil
	})
	return &out, err
}

func (s *Server) reportOf(view View, r broker.SweepReport) types.SweepReport {
	out := types.SweepReport{
		Connection: string(r.Connection),
		System:     identityOf(view, r.Connection, r.System),
		Current:    r.Current,
		Mode:       string(r.Mode),
		Skipped:    r.Skipped,
		Listed:     r.Listed,
		Orphans:    []types.Orphan{},
		Adopted:    []string{},
		Missing:    []string{},
	}
	if r.Err != nil {
		out.Error = s.outsideError(r)
	}
	for _, one := range r.Orphans {
		out.Orphans = append(out.Orphans, orphanOf(view, one))
	}
	for _, one := range r.Adopted {
		out.Adopted = append(out.Adopted, string(one.ID))
	}
	for _, id := range r.Missing {
		out.Missing = append(out.Missing, string(id))
	}
	return out
}

// outsideError tells why a listing failed. Only errors that were stripped of secrets are told in full.
func (s *Server) outsideError(r broker.SweepReport) string {
	var provider *providers.Error
	if errors.As(r.Err, &provider) {
		return r.Err.Error()
	}
	p, internal := problemOf(r.Err, s.config.Now())
	if internal {
		s.log.Error("a sweep failed", "connection", r.Connection, "error", r.Err)
	}
	return p.Detail
}

func orphanOf(view View, o fsm.Orphan) types.Orphan {
	return types.Orphan{
		Connection:  string(o.Connection),
		System:      identityOf(view, o.Connection, o.System),
		Username:    o.Username,
		Ours:        o.Ours,
		Kept:        o.Kept,
		FirstSeenAt: o.FirstSeenAt.Time(),
		LastSeenAt:  o.LastSeenAt.Time(),
	}
}

// identityOf names an outside system as a check found it; empty when none ever did.
func identityOf(view View, connection fsm.ConnectionName, number uint64) string {
	system, _ := view.System(connection, number)
	return system.Identity
}
