package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"broker/access"
	"broker/api/types"
	"broker/broker"
	"broker/fsm"
)

// LeasePath is part of every input about one lease.
type LeasePath struct {
	ID string `path:"id"`
}

func (p LeasePath) resource() Resource { return Resource{Kind: access.KindLease, Name: p.ID} }

// LeaseIssue asks for a lease.
type LeaseIssue struct {
	SecretPath
	Keyed
	Body *types.IssueSpec
}

func (in LeaseIssue) length() time.Duration {
	if in.Body == nil || in.Body.TTL == nil {
		return 0
	}
	return in.Body.TTL.Std()
}

// LeaseGet asks for one lease.
type LeaseGet struct {
	LeasePath
	Read
}

// LeaseRenew asks for more time.
type LeaseRenew struct {
	LeasePath
	Keyed
	Body types.RenewSpec
}

// life is how long the lease would have lived at its new end. What is wrong with the request, the handler says.
func (in LeaseRenew) life(l fsm.Lease) time.Duration {
	end := l.ExpiresAt
	switch spec, err := renewal(l.ID, in.Body); {
	case err != nil:
	case spec.UntilMax:
		end = l.MaxExpiresAt
	case !spec.Until.IsZero():
		end = max(end, fsm.At(spec.Until))
	default:
		end = end.Add(spec.TTL)
	}
	return end.Sub(l.CreatedAt)
}

// LeaseRevoke asks for the end of a lease.
type LeaseRevoke struct {
	LeasePath
	Keyed
	Body *types.RevokeSpec
}

// LeaseRetry asks for another try at a lease's end.
type LeaseRetry struct {
	LeasePath
	Keyed
}

// LeaseForget asks to give a lease's login up.
type LeaseForget struct {
	LeasePath
	Keyed
	Body types.ForgetSpec
}

func (r *routes) leases() {
	s := r.server
	register(r, route{id: "lease-issue", action: "lease:issue", method: http.MethodPost, path: "/environments/{app}/{env}/secrets/{name}/leases", summary: "Issue a lease: make a credential and show its values once", status: http.StatusCreated}, s.issueLease)
	register(r, route{id: "lease-list", action: "lease:list", method: http.MethodGet, path: "/leases", summary: "List the leases that one may see: one's own, and those of secrets where one may list leases", chosen: true}, s.listLeases)
	register(r, route{id: "lease-get", action: "lease:get", method: http.MethodGet, path: "/leases/{id}", summary: "Get a lease, without its values"}, s.getLease)
	register(r, route{id: "lease-renew", action: "lease:renew", method: http.MethodPost, path: "/leases/{id}/renew", summary: "Move a lease's end"}, s.renewLease)
	register(r, route{id: "lease-revoke", action: "lease:revoke", method: http.MethodPost, path: "/leases/{id}/revoke", summary: "End a lease now"}, s.revokeLease)
	register(r, route{id: "lease-retry", action: "lease:retry", method: http.MethodPost, path: "/leases/{id}/retry", summary: "Try now to remove the login of a lease whose end has begun"}, s.retryLease)
	register(r, route{id: "lease-forget", action: "lease:forget", method: http.MethodPost, path: "/leases/{id}/forget", summary: "Give up the login of a lease whose end has begun; it may still exist"}, s.forgetLease)
	register(r, route{id: "lease-events", action: "lease:history", method: http.MethodGet, path: "/leases/{id}/events", summary: "Get a lease's history, oldest first"}, s.leaseEvents)
}

func (s *Server) issueLease(ctx context.Context, c *call, in *LeaseIssue) (*created[types.Issued], error) {
	var asked types.IssueSpec
	if in.Body != nil {
		asked = *in.Body
	}
	ttl, err := positive("ttl", asked.TTL)
	if err != nil {
		return nil, err
	}
	issued, err := s.config.Broker.Issue(ctx, c.request(in.DryRun), broker.IssueSpec{
		Secret: in.secret(), Name: asked.Name, TTL: ttl, Labels: asked.Labels, MaxTTL: c.decision.MaxTTL, Parameters: asked.Parameters,
		Replaces: fsm.LeaseID(asked.Replaces),
	})
	if err != nil {
		return nil, err
	}
	out := types.Issued{Lease: s.leaseOf(issued.Lease), Values: types.Values{}, Masked: []string{}, Replayed: issued.Replayed}
	for _, one := range issued.Values {
		// The one place where leased values leave the broker.
		out.Values = append(out.Values, types.Value{Key: one.Key, Value: one.Value.Reveal()})
		if !one.Plain {
			out.Masked = append(out.Masked, one.Key)
		}
	}
	c.setVersion(issued.Lease.Version)
	c.lease = issued.Lease.ID
	return &created[types.Issued]{createdStatus(in.DryRun), out}, nil
}

func (s *Server) getLease(_ context.Context, c *call, in *LeaseGet) (*body[types.Lease], error) {
	var out body[types.Lease]
	err := s.view(c, func(view View) error {
		found, ok := view.Lease(fsm.LeaseID(in.ID))
		if !ok {
			return notFound("lease", in.ID)
		}
		c.setVersion(found.Version)
		out.Body = s.leaseOf(found)
		return nil
	})
	return &out, err
}

func (s *Server) renewLease(ctx context.Context, c *call, in *LeaseRenew) (*body[types.Lease], error) {
	spec, err := renewal(fsm.LeaseID(in.ID), in.Body)
	if err != nil {
		return nil, err
	}
	renewed, err := s.config.Broker.Renew(ctx, c.request(in.DryRun), spec)
	if err != nil {
		return nil, err
	}
	c.setVersion(renewed.Version)
	return &body[types.Lease]{s.leaseOf(renewed)}, nil
}

// renewal reads how much more time is asked for.
func renewal(id fsm.LeaseID, asked types.RenewSpec) (broker.RenewSpec, error) {
	spec := broker.RenewSpec{Lease: id}
	switch {
	case asked.TTL != nil && asked.Until != "":
		return spec, invalid("until", "cannot be given together with ttl")
	case asked.TTL != nil:
		ttl, err := positive("ttl", asked.TTL)
		spec.TTL = ttl
		return spec, err
	case asked.Until == types.UntilMax:
		spec.UntilMax = true
		return spec, nil
	case asked.Until != "":
		until, err := time.Parse(time.RFC3339Nano, asked.Until)
		if err != nil || until.IsZero() {
			return spec, invalid("until", `must be an RFC 3339 time such as 2026-01-31T12:00:00Z, or "max"`)
		}
		spec.Until = until
		return spec, nil
	}
	return spec, fieldsProblem(codeMissingField, []types.FieldProblem{{Field: "ttl", Message: "is required, or until instead of it"}})
}

func (s *Server) revokeLease(ctx context.Context, c *call, in *LeaseRevoke) (*created[types.Lease], error) {
	var asked types.RevokeSpec
	if in.Body != nil {
		asked = *in.Body
	}
	id := fsm.LeaseID(in.ID)
	ended, err := s.endedBefore(c, id)
	if err != nil {
		return nil, err
	}
	revoked, err := s.config.Broker.Revoke(ctx, c.request(in.DryRun), broker.RevokeSpec{Lease: id, Reason: asked.Reason})
	if err != nil {
		return nil, err
	}
	out := s.ending(c, revoked, in.DryRun)
	if ended {
		out.Body.Warnings = []string{"the lease had ended before: it was " + string(revoked.State) + " at " + revoked.EndedAt.String()}
	}
	return out, nil
}

// ending answers with a lease whose end may take longer than the request.
func (s *Server) ending(c *call, lease fsm.Lease, dryRun bool) *created[types.Lease] {
	c.setVersion(lease.Version)
	out := &created[types.Lease]{http.StatusOK, s.leaseOf(lease)}
	if lease.State.Live() && !dryRun {
		out.Status = http.StatusAccepted
		out.Body.Warnings = []string{"the login is still being removed; the broker goes on until it is gone"}
	}
	return out
}

func (s *Server) retryLease(ctx context.Context, c *call, in *LeaseRetry) (*created[types.Lease], error) {
	retried, err := s.config.Broker.RetryLease(ctx, c.request(in.DryRun), fsm.LeaseID(in.ID))
	if err != nil {
		return nil, err
	}
	return s.ending(c, retried, in.DryRun), nil
}

func (s *Server) forgetLease(ctx context.Context, c *call, in *LeaseForget) (*body[types.Lease], error) {
	forgotten, err := s.config.Broker.ForgetLease(ctx, c.request(in.DryRun), fsm.LeaseID(in.ID), in.Body.Reason)
	if err != nil {
		return nil, err
	}
	c.setVersion(forgotten.Version)
	out := &body[types.Lease]{s.leaseOf(forgotten)}
	out.Body.Warnings = []string{"the login " + forgotten.Username + " may still exist: the next sweep that sees it takes it for an orphan"}
	return out, nil
}

// endedBefore reports whether there was nothing left to revoke.
func (s *Server) endedBefore(c *call, id fsm.LeaseID) (bool, error) {
	ended := false
	err := s.view(c, func(view View) error {
		found, ok := view.Lease(id)
		ended = ok && !found.State.Live()
		return nil
	})
	return ended, err
}

func (s *Server) leaseEvents(_ context.Context, c *call, in *LeaseGet) (*body[types.Page[types.Event]], error) {
	out := body[types.Page[types.Event]]{types.Page[types.Event]{Items: []types.Event{}}}
	err := s.view(c, func(view View) error {
		history := view.LeaseEvents(fsm.LeaseID(in.ID))
		if _, ok := view.Lease(fsm.LeaseID(in.ID)); !ok && len(history) == 0 {
			return notFound("lease", in.ID)
		}
		for _, one := range history {
			out.Body.Items = append(out.Body.Items, eventOf(one))
		}
		return nil
	})
	return &out, err
}

func (s *Server) leaseOf(lease fsm.Lease) types.Lease {
	return types.Lease{
		ID:           string(lease.ID),
		Name:         lease.Name,
		Secret:       string(lease.Secret),
		Connection:   string(lease.Connection),
		Account:      string(lease.Account),
		Username:     lease.Username,
		State:        lease.Shown(fsm.At(s.config.Now())),
		CreatedAt:    lease.CreatedAt.Time(),
		ActivatedAt:  instant(lease.ActivatedAt),
		RenewedAt:    instant(lease.RenewedAt),
		ExpiresAt:    lease.ExpiresAt.Time(),
		MaxExpiresAt: lease.MaxExpiresAt.Time(),
		RevokingAt:   instant(lease.RevokingAt),
		EndedAt:      instant(lease.EndedAt),
		RenewableTTL: types.Duration(lease.RenewableTTL()),
		Renewable:    lease.State == fsm.Active && lease.RenewableTTL() > 0,
		Renewals:     lease.Renewals,
		Labels:       labelsOf(lease.Labels),
		Cause:        string(lease.Cause),
		Reason:       lease.Reason,
		Attempts:     lease.Attempts,
		LastError:    lease.LastError,
		NextTryAt:    instant(lease.NextTryAt),
		Missing:      lease.Missing && lease.State == fsm.Active,
		Forgotten:    lease.Forgotten,
		Operation:    string(lease.Operation),
		Version:      lease.Version,
		Parameters:   parametersOf(lease),
		Replaces:     string(lease.Replaces),
		ReplacedBy:   string(lease.ReplacedBy),
	}
}

// parametersOf shows what a lease was asked for with besides.
func parametersOf(lease fsm.Lease) map[string]any {
	var shown map[string]any
	if len(lease.Parameters) > 0 && json.Unmarshal(lease.Parameters, &shown) != nil {
		return nil // written by the broker itself, so this cannot happen
	}
	return shown
}

// instant returns nil for an instant that is not set.
func instant(at fsm.Instant) *time.Time {
	if at.IsZero() {
		return nil
	}
	t := at.Time()
	return &t
}
