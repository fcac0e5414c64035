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

// LockPath is part of every input about one lock.
type LockPath struct {
	ID string `path:"id"`
}

func (p LockPath) resource() Resource { return Resource{Kind: access.KindLock, Name: p.ID} }

// LockList asks for locks.
type LockList struct{ Paged }

func (LockList) resource() Resource { return Resource{Kind: access.KindLock} }

// LockCreate asks for a new lock.
type LockCreate struct {
	Keyed
	Body types.LockSpec
}

func (in LockCreate) resource() Resource {
	on := Resource{Kind: access.KindLock}
	on.Environment, on.Secret = placeOfSelector(lockScope(in.Body.Scope).Selector())
	return on
}

// demands is the lock's action for each place that it covers, and what its revoking needs.
func (in LockCreate) demands(one route, _ *Server, view View) []ask {
	selector := lockScope(in.Body.Scope).Selector()
	asks := beneath(view, one.action, access.KindLock, selector)
	if in.Body.Revoke {
		asks = append(asks, beneath(view, "lease:revoke", access.KindLease, selector)...)
	}
	return asks
}

// LockGet asks for one lock.
type LockGet struct {
	LockPath
	Read
}

// LockUpdate asks for a change of a lock.
type LockUpdate struct {
	LockPath
	Conditional
	Body types.LockChange
}

// LockDelete asks for the end of a lock.
type LockDelete struct {
	LockPath
	Conditional
}

func (in LockUpdate) demands(one route, _ *Server, view View) []ask {
	return in.covered(view, one.action)
}
func (in LockDelete) demands(one route, _ *Server, view View) []ask {
	return in.covered(view, one.action)
}

// covered is an action for each place that a lock covers: whoever changes it changes what holds there.
func (p LockPath) covered(view View, action Action) []ask {
	found, ok := view.Lock(fsm.LockID(p.ID))
	if !ok {
		return nil
	}
	return about(lockResource(&found), beneath(view, action, access.KindLock, found.Scope.Selector()))
}

func (r *routes) locks() {
	s := r.server
	register(r, route{id: "lock-list", action: "lock:list", method: http.MethodGet, path: "/locks", summary: "List the locks that one may see, oldest first", chosen: true}, s.listLocks)
	register(r, route{id: "lock-create", action: "lock:create", method: http.MethodPost, path: "/locks", summary: "Stop issue and renew, and revoke what is there when asked to", status: http.StatusCreated}, s.createLock)
	register(r, route{id: "lock-get", action: "lock:get", method: http.MethodGet, path: "/locks/{id}", summary: "Get a lock"}, s.getLock)
	register(r, route{id: "lock-update", action: "lock:update", method: http.MethodPatch, path: "/locks/{id}", summary: "Change a lock's reason or end"}, s.updateLock)
	register(r, route{id: "lock-delete", action: "lock:delete", method: http.MethodDelete, path: "/locks/{id}", summary: "Unlock"}, s.deleteLock)
}

func (s *Server) listLocks(_ context.Context, c *call, in *LockList) (*body[types.Page[types.Lock]], error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	var list []fsm.Lock
	var next string
	err = s.view(c, func(view View) error {
		sight := s.sightOf(c, view)
		list, next = gather(in.limit(), after,
			func(after string, limit int) []fsm.Lock { return view.Locks(fsm.LockID(after), limit) },
			func(l fsm.Lock) string { return string(l.ID) },
			func(l *fsm.Lock) bool { return sight.sees("lock:list", lockResource(l)) })
		return sight.err
	})
	return pageFrom(list, next, s.lockOf), err
}

func (s *Server) createLock(ctx context.Context, c *call, in *LockCreate) (*created[types.Locked], error) {
	scope, err := scopeFrom(in.Body.Scope)
	if err != nil {
		return nil, err
	}
	until, err := endOf(in.Body.Until, in.Body.TTL, s.config.Now())
	if err != nil {
		return nil, err
	}
	lock, op, err := s.config.Broker.CreateLock(ctx, c.request(in.DryRun), broker.LockSpec{
		Scope: scope, Reason: in.Body.Reason, Until: until, Revoke: in.Body.Revoke,
	})
	if err != nil {
		return nil, err
	}
	c.setVersion(lock.Version)
	out := types.Locked{Lock: s.lockOf(lock)}
	if in.DryRun {
		out.Lock.ID = ""
	}
	if op != nil {
		shown := startedOf(*op, in.DryRun)
		out.Operation = &shown
	}
	return &created[types.Locked]{createdStatus(in.DryRun), out}, nil
}

func (s *Server) getLock(_ context.Context, c *call, in *LockGet) (*body[types.Lock], error) {
	var out body[types.Lock]
	err := s.view(c, func(view View) error {
		found, ok := view.Lock(fsm.LockID(in.ID))
		if !ok {
			return notFound("lock", in.ID)
		}
		c.setVersion(found.Version)
		out.Body = s.lockOf(found)
		return nil
	})
	return &out, err
}

func (s *Server) updateLock(ctx context.Context, c *call, in *LockUpdate) (*body[types.Lock], error) {
	request, version, err := c.change(in.Conditional)
	if err != nil {
		return nil, err
	}
	change := broker.LockChange{ID: fsm.LockID(in.ID), Reason: in.Body.Reason, IfVersion: version}
	var asked time.Time
	if in.Body.Until != nil {
		asked = *in.Body.Until
	}
	until, err := endOf(asked, in.Body.TTL, s.config.Now())
	switch {
	case err != nil:
		return nil, err
	case in.Body.NoEnd && !until.IsZero():
		return nil, invalid("no_end", "cannot be given together with until or ttl")
	case in.Body.NoEnd || !until.IsZero():
		change.Until = &until
	}
	changed, err := s.config.Broker.UpdateLock(ctx, request, change)
	if err != nil {
		return nil, err
	}
	c.setVersion(changed.Version)
	return &body[types.Lock]{s.lockOf(changed)}, nil
}

func (s *Server) deleteLock(ctx context.Context, c *call, in *LockDelete) (*nothing, error) {
	request, version, err := c.change(in.Conditional)
	if err != nil {
		return nil, err
	}
	return &nothing{}, s.config.Broker.DeleteLock(ctx, request, fsm.LockID(in.ID), version)
}

// endOf returns the instant that until or ttl name, zero when neither is given.
func endOf(until time.Time, ttl *types.Duration, now time.Time) (time.Time, error) {
	switch {
	case ttl != nil && !until.IsZero():
		return until, invalid("until", "cannot be given together with ttl")
	case ttl != nil:
		length, err := positive("ttl", ttl)
		return now.Add(length), err
	}
	return until, nil
}

func lockScope(scope types.LockScope) fsm.LockScope {
	return fsm.LockScope{
		Environment: fsm.Pattern(scope.Environment),
		Account:     fsm.AccountName(scope.Account),
		Secret:      fsm.SecretName(scope.Secret),
		Connection:  fsm.ConnectionName(scope.Connection),
		Label:       scope.Label,
	}
}

func scopeFrom(scope types.LockScope) (fsm.LockScope, error) {
	out := lockScope(scope)
	// A lock that covers nothing would be believed in.
	if env, name := out.Secret.Split(); scope.Secret != "" && (!fsm.ValidEnvironmentName(string(env)) || !fsm.ValidName(name)) {
		return out, invalid("scope.secret", "must be a full name: app/env/name")
	}
	return out, nil
}

func (s *Server) lockOf(l fsm.Lock) types.Lock {
	return types.Lock{
		ID: string(l.ID),
		Scope: types.LockScope{
			Environment: string(l.Scope.Environment),
			Account:     string(l.Scope.Account),
			Secret:      string(l.Scope.Secret),
			Connection:  string(l.Scope.Connection),
			Label:       l.Scope.Label,
		},
		Reason:    l.Reason,
		Until:     instant(l.UntilAt),
		InForce:   l.UntilAt.IsZero() || fsm.At(s.config.Now()) < l.UntilAt,
		By:        string(l.By.Account),
		CreatedAt: l.CreatedAt.Time(),
		UpdatedAt: l.UpdatedAt.Time(),
		Version:   l.Version,
	}
}
