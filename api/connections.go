package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"broker/access"
	"broker/api/types"
	"broker/broker"
	"broker/fsm"
	"broker/providers"
)

// ConnectionPath is part of every input about one connection.
type ConnectionPath struct {
	Name string `path:"name"`
}

func (p ConnectionPath) resource() Resource {
	return Resource{Kind: access.KindConnection, Name: p.Name}
}

func (p ConnectionPath) name() fsm.ConnectionName { return fsm.ConnectionName(p.Name) }

// ConnectionList asks for connections.
type ConnectionList struct{ Paged }

func (ConnectionList) resource() Resource { return Resource{Kind: access.KindConnection} }

// ConnectionCreate asks for a new connection.
type ConnectionCreate struct {
	Keyed
	Body types.ConnectionSpec
}

func (in ConnectionCreate) resource() Resource {
	return Resource{Kind: access.KindConnection, Name: in.Body.Name}
}

// ConnectionGet asks for one connection.
type ConnectionGet struct {
	ConnectionPath
	Read
}

// ConnectionUpdate asks for a change of a connection.
type ConnectionUpdate struct {
	ConnectionPath
	Conditional
	Body types.ConnectionChange
}

// ConnectionDelete asks for the end of a connection.
type ConnectionDelete struct {
	ConnectionPath
	Removal
}

func (in ConnectionDelete) demands(_ route, _ *Server, view View) []ask {
	return in.revoking(view, fsm.Target{Noun: fsm.TargetConnection, Name: in.Name})
}

// ConnectionPause asks for an outside system to be left alone.
type ConnectionPause struct {
	ConnectionPath
	Keyed
	Body types.PauseSpec
}

// ConnectionResume asks for the end of a pause.
type ConnectionResume struct {
	ConnectionPath
	Keyed
}

// ConnectionCheckNow asks whether a connection works.
type ConnectionCheckNow struct {
	ConnectionPath
	Keyed
}

func (r *routes) connections() {
	s := r.server
	register(r, route{id: "connection-list", action: "connection:list", method: http.MethodGet, path: "/connections", summary: "List connections"}, s.listConnections)
	register(r, route{id: "connection-create", action: "connection:create", method: http.MethodPost, path: "/connections", summary: "Make a connection, after a check of the outside system", status: http.StatusCreated}, s.createConnection)
	register(r, route{id: "connection-get", action: "connection:get", method: http.MethodGet, path: "/connections/{name}", summary: "Get a connection, without its secret fields"}, s.getConnection)
	register(r, route{id: "connection-update", action: "connection:update", method: http.MethodPatch, path: "/connections/{name}", summary: "Change a connection"}, s.updateConnection)
	register(r, route{id: "connection-delete", action: "connection:delete", method: http.MethodDelete, path: "/connections/{name}", summary: "Delete a connection that no secret uses, or with all that use it", status: http.StatusAccepted}, s.deleteConnection)
	register(r, route{id: "connection-check", action: "connection:check", method: http.MethodPost, path: "/connections/{name}/check", summary: "Ask the outside system whether the connection works"}, s.checkConnection)
	register(r, route{id: "connection-rotate", action: "connection:rotate", method: http.MethodPost, path: "/connections/{name}/rotate", summary: "Exchange the root credential for a new one, and have the old one refused", status: http.StatusAccepted}, s.rotateConnection)
	register(r, route{id: "connection-rotate-cancel", action: "connection:rotate", method: http.MethodPost, path: "/connections/{name}/rotate/cancel", summary: "Give up the exchange of the root credential that is under way"}, s.cancelRotation)
	register(r, route{id: "connection-pause", action: "connection:pause", method: http.MethodPost, path: "/connections/{name}/pause", summary: "Leave the outside system alone for a time: ends of leases are recorded and wait"}, s.pauseConnection)
	register(r, route{id: "connection-resume", action: "connection:pause", method: http.MethodPost, path: "/connections/{name}/resume", summary: "End a pause now"}, s.resumeConnection)
}

func (s *Server) listConnections(_ context.Context, c *call, in *ConnectionList) (*body[types.Page[types.Connection]], error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	var shown []types.Connection
	var next string
	err = s.view(c, func(view View) error {
		sight := s.sightOf(c, view)
		var list []fsm.Connection
		list, next = gather(in.limit(), after,
			func(after string, limit int) []fsm.Connection {
				return view.Connections(fsm.ConnectionName(after), limit)
			},
			func(one fsm.Connection) string { return string(one.Name) },
			func(one *fsm.Connection) bool {
				return sight.sees("connection:list", Resource{Kind: access.KindConnection, Name: string(one.Name)})
			})
		for _, one := range list {
			converted, err := s.connectionOf(view, one)
			if err != nil {
				return err
			}
			shown = append(shown, converted)
		}
		return sight.err
	})
	return pageFrom(shown, next, func(one types.Connection) types.Connection { return one }), err
}

func (s *Server) createConnection(ctx context.Context, c *call, in *ConnectionCreate) (*created[types.Connection], error) {
	made, warnings, err := s.config.Broker.CreateConnection(ctx, c.request(in.DryRun), broker.ConnectionSpec{
		Name:         fsm.ConnectionName(in.Body.Name),
		Provider:     in.Body.Provider,
		Description:  in.Body.Description,
		Environments: patterns(in.Body.Environments),
		Settings:     in.Body.Settings,
		SkipCheck:    in.Body.SkipCheck,
		Sweep:        fsm.SweepMode(in.Body.Sweep),
	})
	if err != nil {
		return nil, err
	}
	shown, err := s.changedConnection(c, made, warnings)
	return &created[types.Connection]{createdStatus(in.DryRun), shown}, err
}

func (s *Server) getConnection(_ context.Context, c *call, in *ConnectionGet) (*body[types.Connection], error) {
	var out body[types.Connection]
	err := s.view(c, func(view View) error {
		found, ok := view.Connection(in.name())
		if !ok {
			return notFound("connection", in.Name)
		}
		c.setVersion(found.Version)
		var err error
		out.Body, err = s.connectionOf(view, found)
		return err
	})
	return &out, err
}

func (s *Server) updateConnection(ctx context.Context, c *call, in *ConnectionUpdate) (*body[types.Connection], error) {
	request, version, err := c.change(in.Conditional)
	if err != nil {
		return nil, err
	}
	change := broker.ConnectionChange{
		Name:        in.name(),
		Description: in.Body.Description,
		Settings:    in.Body.Settings,
		System:      broker.SystemChange(in.Body.System),
		SkipCheck:   in.Body.SkipCheck,
		IfVersion:   version,
	}
	if in.Body.Environments != nil {
		environments := patterns(*in.Body.Environments)
		change.Environments = &environments
	}
	if in.Body.Sweep != nil {
		mode := fsm.SweepMode(*in.Body.Sweep)
		change.Sweep = &mode
	}
	changed, warnings, err := s.config.Broker.UpdateConnection(ctx, request, change)
	if err != nil {
		return nil, err
	}
	shown, err := s.changedConnection(c, changed, warnings)
	if err == nil && in.DryRun && len(in.Body.Settings) > 0 {
		shown.ChangedSecretFields, err = s.config.Broker.ChangedSecrets(ctx, in.name(), in.Body.Settings)
	}
	return &body[types.Connection]{shown}, err
}

func (s *Server) deleteConnection(ctx context.Context, c *call, in *ConnectionDelete) (*removed, error) {
	target := fsm.Target{Noun: fsm.TargetConnection, Name: in.Name}
	return s.remove(ctx, c, in.Removal, target, func(request broker.Request, version uint64) error {
		return s.config.Broker.DeleteConnection(ctx, request, in.name(), version)
	})
}

func (s *Server) pauseConnection(ctx context.Context, c *call, in *ConnectionPause) (*body[types.Connection], error) {
	until, err := endOf(in.Body.Until, in.Body.TTL, s.config.Now())
	if err != nil {
		return nil, err
	}
	if until.IsZero() {
		return nil, fieldsProblem(codeMissingField, []types.FieldProblem{{Field: "until", Message: "is required, or ttl instead of it"}})
	}
	return s.pause(ctx, c, in.DryRun, broker.PauseSpec{Name: in.name(), Until: until, Reason: in.Body.Reason})
}

func (s *Server) resumeConnection(ctx context.Context, c *call, in *ConnectionResume) (*body[types.Connection], error) {
	return s.pause(ctx, c, in.DryRun, broker.PauseSpec{Name: in.name()})
}

func (s *Server) pause(ctx context.Context, c *call, dryRun bool, spec broker.PauseSpec) (*body[types.Connection], error) {
	changed, err := s.config.Broker.PauseConnection(ctx, c.request(dryRun), spec)
	if err != nil {
		return nil, err
	}
	shown, err := s.changedConnection(c, changed, nil)
	return &body[types.Connection]{shown}, err
}

func (s *Server) checkConnection(ctx context.Context, c *call, in *ConnectionCheckNow) (*body[types.ConnectionCheck], error) {
	found, err := s.config.Broker.CheckConnection(ctx, c.request(in.DryRun), in.name())
	if err != nil {
		return nil, err
	}
	return &body[types.ConnectionCheck]{types.ConnectionCheck{
		Connection: in.Name, System: found.SystemID, Warnings: found.Warnings,
	}}, nil
}

// changedConnection shows a connection that the broker has just made or changed.
func (s *Server) changedConnection(c *call, changed fsm.Connection, warnings []string) (types.Connection, error) {
	c.setVersion(changed.Version)
	var shown types.Connection
	err := s.view(c, func(view View) error {
		var err error
		shown, err = s.connectionOf(view, changed)
		return err
	})
	if len(warnings) > 0 {
		shown.Warnings = warnings // they include what the settings alone tell
	}
	return shown, err
}

// connectionOf shows a connection with the settings of its current system. Of the sealed fields it
// can tell the names of those that must be there.
func (s *Server) connectionOf(view View, connection fsm.Connection) (types.Connection, error) {
	out := types.Connection{
		Name:         string(connection.Name),
		Provider:     connection.Provider,
		Description:  connection.Description,
		Environments: []string{},
		Settings:     map[string]any{},
		SecretFields: []string{},
		CreatedAt:    connection.CreatedAt.Time(),
		UpdatedAt:    connection.UpdatedAt.Time(),
		Version:      connection.Version,
		Sweep:        string(connection.SweepMode()),

		BeingDeletedBy: string(connection.Going),
	}
	if connection.Paused(fsm.At(s.config.Now())) {
		out.PausedUntil, out.PauseReason = instant(connection.PausedUntilAt), connection.PauseReason
	}
	for _, pattern := range connection.Environments {
		out.Environments = append(out.Environments, string(pattern))
	}
	if r, ok := view.Rotation(connection.Name); ok {
		out.Rotation = rotationOf(r)
	}
	system, ok := view.System(connection.Name, connection.System)
	if !ok {
		return out, nil // a dry run's, which was never stored
	}
	out.System = system.Identity
	if len(system.Settings) > 0 {
		if err := json.Unmarshal(system.Settings, &out.Settings); err != nil {
			return out, fmt.Errorf("reading the settings of connection %q: %w", connection.Name, err)
		}
	}
	secret := s.secretFields(connection.Provider)
	for name := range secret {
		// Never stored among the clear ones; should it ever be, it is not shown.
		delete(out.Settings, name)
	}
	if len(system.Sealed) > 0 {
		out.SecretFields = requiredNames(secret)
	}
	if found, ok := s.config.Providers.Get(connection.Provider); ok {
		out.Warnings = providers.Warnings(found, out.Settings)
	}
	return out, nil
}

func patterns(names []string) []fsm.Pattern {
	var out []fsm.Pattern
	for _, name := range names {
		out = append(out, fsm.Pattern(name))
	}
	return out
}
