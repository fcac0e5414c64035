package api

import (
	"context"
	"net/http"

	"broker/access"
	"broker/api/types"
	"broker/broker"
	"broker/fsm"
)

// EnvironmentPath is part of every input about one environment.
type EnvironmentPath struct {
	App string `path:"app"`
	Env string `path:"env"`
}

func (p EnvironmentPath) name() fsm.EnvironmentName { return fsm.EnvironmentName(p.App + "/" + p.Env) }

func (p EnvironmentPath) resource() Resource {
	return Resource{Kind: access.KindEnvironment, Environment: fsm.Pattern(p.name())}
}

// EnvironmentList asks for environments.
type EnvironmentList struct{ Paged }

func (EnvironmentList) resource() Resource { return Resource{Kind: access.KindEnvironment} }

// EnvironmentCreate asks for a new environment.
type EnvironmentCreate struct {
	Keyed
	Body types.EnvironmentSpec
}

func (in EnvironmentCreate) resource() Resource {
	return Resource{Kind: access.KindEnvironment, Environment: fsm.Pattern(in.Body.Name)}
}

// EnvironmentGet asks for one environment.
type EnvironmentGet struct {
	EnvironmentPath
	Read
}

// EnvironmentUpdate asks for a change of an environment.
type EnvironmentUpdate struct {
	EnvironmentPath
	Conditional
	Body types.EnvironmentChange
}

// EnvironmentDelete asks for the end of an environment.
type EnvironmentDelete struct {
	EnvironmentPath
	Removal
}

func (in EnvironmentDelete) demands(_ route, _ *Server, view View) []ask {
	return in.revoking(view, fsm.Target{Noun: fsm.TargetEnvironment, Name: string(in.name())})
}

func (r *routes) environments() {
	s := r.server
	register(r, route{id: "environment-list", action: "environment:list", method: http.MethodGet, path: "/environments", summary: "List the environments that one may see", chosen: true}, s.listEnvironments)
	register(r, route{id: "environment-create", action: "environment:create", method: http.MethodPost, path: "/environments", summary: "Make an environment", status: http.StatusCreated}, s.createEnvironment)
	register(r, route{id: "environment-get", action: "environment:get", method: http.MethodGet, path: "/environments/{app}/{env}", summary: "Get an environment"}, s.getEnvironment)
	register(r, route{id: "environment-update", action: "environment:update", method: http.MethodPatch, path: "/environments/{app}/{env}", summary: "Change an environment"}, s.updateEnvironment)
	register(r, route{id: "environment-delete", action: "environment:delete", method: http.MethodDelete, path: "/environments/{app}/{env}", summary: "Delete an environment that holds nothing, or with all that it holds", status: http.StatusAccepted}, s.deleteEnvironment)
}

func (s *Server) listEnvironments(_ context.Context, c *call, in *EnvironmentList) (*body[types.Page[types.Environment]], error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	var list []fsm.Environment
	var next string
	err = s.view(c, func(view View) error {
		sight := s.sightOf(c, view)
		list, next = gather(in.limit(), after,
			func(after string, limit int) []fsm.Environment {
				return view.Environments(fsm.EnvironmentName(after), limit)
			},
			func(e fsm.Environment) string { return string(e.Name) },
			func(e *fsm.Environment) bool {
				return sight.sees("environment:list", Resource{Kind: access.KindEnvironment, Environment: fsm.Pattern(e.Name)})
			})
		return sight.err
	})
	return pageFrom(list, next, environmentOf), err
}

func (s *Server) createEnvironment(ctx context.Context, c *call, in *EnvironmentCreate) (*created[types.Environment], error) {
	made, err := s.config.Broker.CreateEnvironment(ctx, c.request(in.DryRun), broker.EnvironmentSpec{
		Name: fsm.EnvironmentName(in.Body.Name), Description: in.Body.Description,
	})
	if err != nil {
		return nil, err
	}
	c.setVersion(made.Version)
	return &created[types.Environment]{createdStatus(in.DryRun), environmentOf(made)}, nil
}

func (s *Server) getEnvironment(_ context.Context, c *call, in *EnvironmentGet) (*body[types.Environment], error) {
	var out body[types.Environment]
	err := s.view(c, func(view View) error {
		found, ok := view.Environment(in.name())
		if !ok {
			return notFound("environment", string(in.name()))
		}
		c.setVersion(found.Version)
		out.Body = environmentOf(found)
		return nil
	})
	return &out, err
}

func (s *Server) updateEnvironment(ctx context.Context, c *call, in *EnvironmentUpdate) (*body[types.Environment], error) {
	request, version, err := c.change(in.Conditional)
	if err != nil {
		return nil, err
	}
	changed, err := s.config.Broker.UpdateEnvironment(ctx, request, broker.EnvironmentChange{
		Name: in.name(), Description: in.Body.Description, IfVersion: version,
	})
	if err != nil {
		return nil, err
	}
	c.setVersion(changed.Version)
	return &body[types.Environment]{environmentOf(changed)}, nil
}

func (s *Server) deleteEnvironment(ctx context.Context, c *call, in *EnvironmentDelete) (*removed, error) {
	target := fsm.Target{Noun: fsm.TargetEnvironment, Name: string(in.name())}
	return s.remove(ctx, c, in.Removal, target, func(request broker.Request, version uint64) error {
		return s.config.Broker.DeleteEnvironment(ctx, request, in.name(), version)
	})
}

func environmentOf(e fsm.Environment) types.Environment {
	return types.Environment{
		Name:        string(e.Name),
		Description: e.Description,
		CreatedAt:   e.CreatedAt.Time(),
		UpdatedAt:   e.UpdatedAt.Time(),
		Version:     e.Version,

		BeingDeletedBy: string(e.Going),
	}
}
