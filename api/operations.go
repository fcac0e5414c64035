package api

import (
	"context"
	"net/http"
	"time"

	"broker/access"
	"broker/api/types"
	"broker/broker"
	"broker/fsm"
)

// OperationPath is part of every input about one operation.
type OperationPath struct {
	ID string `path:"id"`
}

func (p OperationPath) resource() Resource { return Resource{Kind: access.KindOperation, Name: p.ID} }

// OperationList asks for operations.
type OperationList struct {
	Paged
	State string `query:"state" enum:"running,done,cancelled" doc:"All unless said"`
}

func (OperationList) resource() Resource { return Resource{Kind: access.KindOperation} }

// OperationGet asks for one operation.
type OperationGet struct {
	OperationPath
	Read
}

// OperationCancel asks for an operation's stop.
type OperationCancel struct {
	OperationPath
	Keyed
}

// demands is the route's action for each place that the operation works in.
func (in OperationCancel) demands(one route, _ *Server, view View) []ask {
	found, ok := view.Operation(fsm.OperationID(in.ID))
	if !ok {
		return nil
	}
	return about(operationResource(&found), beneath(view, one.action, access.KindOperation, found.Selector))
}

// LeaseBulk asks for something to be done with many leases.
type LeaseBulk struct {
	Keyed
	Body types.BulkSpec
}

func (in LeaseBulk) resource() Resource {
	on := Resource{Kind: access.KindLease}
	if selector, err := selectorFrom("", in.Body.Selector, time.Time{}); err == nil {
		on.Environment, on.Secret = placeOfSelector(selector)
		if len(selector.IDs) > 0 {
			on = Resource{Kind: access.KindLease, Name: string(selector.IDs[0])} // the others are demanded besides
		}
	}
	return on
}

// demands is the route's action for each place that the selector may choose leases in.
func (in LeaseBulk) demands(one route, _ *Server, view View) []ask {
	selector, err := selectorFrom("", in.Body.Selector, time.Time{})
	if err != nil {
		return nil // the handler says what is wrong
	}
	return beneath(view, one.action, access.KindLease, selector)
}

func (r *routes) operations() {
	s := r.server
	register(r, route{id: "lease-revoke-many", action: "lease:revoke", method: http.MethodPost, path: "/leases/revoke", summary: "End many leases", status: http.StatusAccepted}, s.bulk(fsm.OperationRevoke))
	register(r, route{id: "lease-retry-many", action: "lease:retry", method: http.MethodPost, path: "/leases/retry", summary: "Try now to remove the logins of many leases whose end has begun", status: http.StatusAccepted}, s.bulk(fsm.OperationRetry))
	register(r, route{id: "lease-forget-many", action: "lease:forget", method: http.MethodPost, path: "/leases/forget", summary: "Give up the logins of many leases whose end has begun", status: http.StatusAccepted}, s.bulk(fsm.OperationForget))
	register(r, route{id: "operation-list", action: "operation:list", method: http.MethodGet, path: "/operations", summary: "List the operations that one may see, newest first", chosen: true}, s.listOperations)
	register(r, route{id: "operation-get", action: "operation:get", method: http.MethodGet, path: "/operations/{id}", summary: "Get an operation's progress"}, s.getOperation)
	register(r, route{id: "operation-cancel", action: "operation:cancel", method: http.MethodPost, path: "/operations/{id}/cancel", summary: "Stop an operation: what it has begun goes on, what it was to delete stays"}, s.cancelOperation)
}

// bulk returns the handler that begins an operation of a kind.
func (s *Server) bulk(kind fsm.OperationKind) func(context.Context, *call, *LeaseBulk) (*created[types.Operation], error) {
	return func(ctx context.Context, c *call, in *LeaseBulk) (*created[types.Operation], error) {
		selector, err := selectorFrom("selector.", in.Body.Selector, s.config.Now())
		if err != nil {
			return nil, err
		}
		switch all := choosesAll(selector); {
		case all && !in.Body.All:
			return nil, invalid("selector", "chooses every lease: choose some, or send all: true")
		case in.Body.All && !all:
			return nil, invalid("all", "cannot be given together with a selector")
		}
		op, err := s.config.Broker.StartOperation(ctx, c.request(in.DryRun), broker.OperationSpec{
			Kind: kind, Selector: selector, Reason: in.Body.Reason, Max: in.Body.Max,
		})
		if err != nil {
			return nil, err
		}
		return begun(c, op, in.DryRun), nil
	}
}

// begun answers with an operation that goes on from now, or would.
func begun(c *call, op fsm.Operation, dryRun bool) *created[types.Operation] {
	shown := startedOf(op, dryRun)
	if dryRun {
		return &created[types.Operation]{http.StatusOK, shown}
	}
	c.header.Set("Location", apiPrefix+"/operations/"+shown.ID)
	c.setVersion(op.Version)
	return &created[types.Operation]{http.StatusAccepted, shown}
}

func (s *Server) listOperations(_ context.Context, c *call, in *OperationList) (*body[types.Page[types.Operation]], error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	var list []fsm.Operation
	var next string
	err = s.view(c, func(view View) error {
		sight := s.sightOf(c, view)
		list, next = gather(in.limit(), after,
			func(after string, limit int) []fsm.Operation {
				return view.NewestOperations(fsm.OperationState(in.State), fsm.OperationID(after), limit)
			},
			func(o fsm.Operation) string { return string(o.ID) },
			func(o *fsm.Operation) bool { return sight.sees("operation:list", operationResource(o)) })
		return sight.err
	})
	return pageFrom(list, next, operationOf), err
}

func (s *Server) getOperation(_ context.Context, c *call, in *OperationGet) (*body[types.Operation], error) {
	var out body[types.Operation]
	err := s.view(c, func(view View) error {
		found, ok := view.Operation(fsm.OperationID(in.ID))
		if !ok {
			return notFound("operation", in.ID)
		}
		c.setVersion(found.Version)
		out.Body = operationOf(found)
		return nil
	})
	return &out, err
}

func (s *Server) cancelOperation(ctx context.Context, c *call, in *OperationCancel) (*body[types.Operation], error) {
	cancelled, err := s.config.Broker.CancelOperation(ctx, c.request(in.DryRun), fsm.OperationID(in.ID))
	if err != nil {
		return nil, err
	}
	c.setVersion(cancelled.Version)
	return &body[types.Operation]{operationOf(cancelled)}, nil
}

func operationOf(o fsm.Operation) types.Operation {
	out := types.Operation{
		ID:        string(o.ID),
		Kind:      string(o.Kind),
		State:     string(o.State),
		Selector:  selectorOf(o.Selector),
		Reason:    o.Reason,
		Total:     o.Total,
		Begun:     o.Begun,
		AllBegun:  o.AllBegun,
		Done:      o.Done,
		Stuck:     o.Stuck,
		By:        string(o.By.Account),
		CreatedAt: instant(o.CreatedAt),
		UpdatedAt: instant(o.UpdatedAt),
		EndedAt:   instant(o.EndedAt),
		Version:   o.Version,
	}
	if o.Target != (fsm.Target{}) {
		out.Target = &types.Target{Noun: string(o.Target.Noun), Name: o.Target.Name}
	}
	return out
}

// startedOf shows an operation that was just begun, or, after a dry run, what it would be: without
// what it would get only by being made.
func startedOf(o fsm.Operation, dryRun bool) types.Operation {
	out := operationOf(o)
	if dryRun {
		out.ID, out.State, out.CreatedAt, out.UpdatedAt, out.Version = "", "", nil, nil, 0
	}
	return out
}
