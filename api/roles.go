package api

import (
	"context"
	"net/http"

	"broker/access"
	"broker/api/types"
	"broker/broker"
	"broker/fsm"
)

// RoleList asks for roles.
type RoleList struct{ Read }

func (RoleList) resource() Resource { return Resource{Kind: "role"} }

// RoleGet asks for one role.
type RoleGet struct {
	Name string `path:"name"`
	Read
}

func (in RoleGet) resource() Resource { return Resource{Kind: "role", Name: in.Name} }

// RoleBindingPath is part of every input about one binding.
type RoleBindingPath struct {
	ID string `path:"id"`
}

func (RoleBindingPath) resource() Resource { return Resource{Kind: "role"} }

// RoleBindingList asks for bindings.
type RoleBindingList struct {
	Paged
	Role    string `query:"role"`
	Account string `query:"account" doc:"Its own bindings; those of its groups are theirs"`
	Group   string `query:"group"`
	Scope   string `query:"scope" doc:"This very scope"`
}

func (RoleBindingList) resource() Resource { return Resource{Kind: "role"} }

func (in RoleBindingList) chooses(b fsm.Binding) bool {
	return (in.Role == "" || in.Role == string(b.Role)) && (in.Account == "" || in.Account == string(b.Account)) &&
		(in.Group == "" || in.Group == string(b.Group)) && (in.Scope == "" || in.Scope == string(b.Scope))
}

// RoleBindingGet asks for one binding.
type RoleBindingGet struct {
	RoleBindingPath
	Read
}

// RoleBindingCreate asks for a role to be given.
type RoleBindingCreate struct {
	Keyed
	Body types.RoleBindingSpec
}

func (in RoleBindingCreate) resource() Resource { return Resource{Kind: "role", Name: in.Body.Role} }

// RoleBindingDelete asks for a role to be taken away.
type RoleBindingDelete struct {
	RoleBindingPath
	Conditional
}

func (r *routes) roles() {
	s := r.server
	register(r, route{id: "role-list", action: "role:list", method: http.MethodGet, path: "/roles", summary: "List roles"}, s.listRoles)
	register(r, route{id: "role-get", action: "role:get", method: http.MethodGet, path: "/roles/{name}", summary: "Get a role with its actions"}, s.getRole)
	register(r, route{id: "role-binding-list", action: "role:list", method: http.MethodGet, path: "/role-bindings", summary: "List who has which role where, oldest first"}, s.listRoleBindings)
	register(r, route{id: "role-binding-create", action: "role:bind", method: http.MethodPost, path: "/role-bindings", summary: "Give an account or group a role", status: http.StatusCreated}, s.createRoleBinding)
	register(r, route{id: "role-binding-get", action: "role:get", method: http.MethodGet, path: "/role-bindings/{id}", summary: "Get a binding"}, s.getRoleBinding)
	register(r, route{id: "role-binding-delete", action: "role:unbind", method: http.MethodDelete, path: "/role-bindings/{id}", summary: "Take a role away"}, s.deleteRoleBinding)
}

func (s *Server) listRoles(context.Context, *call, *RoleList) (*body[types.Page[types.Role]], error) {
	page := types.Page[types.Role]{}
	for _, r := range access.Roles() {
		page.Items = append(page.Items, roleOf(r))
	}
	return &body[types.Page[types.Role]]{page}, nil
}

func (s *Server) getRole(_ context.Context, _ *call, in *RoleGet) (*body[types.Role], error) {
	found, ok := access.RoleNamed(fsm.RoleName(in.Name))
	if !ok {
		return nil, notFound("role", in.Name)
	}
	return &body[types.Role]{roleOf(found)}, nil
}

func (s *Server) listRoleBindings(_ context.Context, c *call, in *RoleBindingList) (*body[types.Page[types.RoleBinding]], error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	var chosen []fsm.Binding
	err = s.view(c, func(view View) error {
		for last := fsm.BindingID(after); ; {
			list := view.Bindings(last, types.MaxPage)
			for _, b := range list {
				if in.chooses(b) {
					chosen = append(chosen, b)
				}
			}
			if len(list) < types.MaxPage || len(chosen) > in.limit() {
				return nil
			}
			last = list[len(list)-1].ID
		}
	})
	chosen = chosen[:min(len(chosen), in.limit()+1)]
	return pageOf(chosen, in.limit(), bindingOf, func(b fsm.Binding) string { return string(b.ID) }), err
}

func (s *Server) getRoleBinding(_ context.Context, c *call, in *RoleBindingGet) (*body[types.RoleBinding], error) {
	var out body[types.RoleBinding]
	err := s.view(c, func(view View) error {
		found, ok := view.Binding(fsm.BindingID(in.ID))
		if !ok {
			return notFound("role binding", in.ID)
		}
		c.setVersion(found.Version)
		out.Body = bindingOf(found)
		return nil
	})
	return &out, err
}

func (s *Server) createRoleBinding(ctx context.Context, c *call, in *RoleBindingCreate) (*created[types.RoleBinding], error) {
	made, err := s.config.Broker.CreateBinding(ctx, c.request(in.DryRun), broker.BindingSpec{
		Role: fsm.RoleName(in.Body.Role), Account: fsm.AccountName(in.Body.Account), Group: fsm.GroupName(in.Body.Group), Scope: fsm.Scope(in.Body.Scope),
	})
	if err != nil {
		return nil, err
	}
	c.setVersion(made.Version)
	out := bindingOf(made)
	if in.DryRun {
		out.ID = ""
	}
	return &created[types.RoleBinding]{createdStatus(in.DryRun), out}, nil
}

func (s *Server) deleteRoleBinding(ctx context.Context, c *call, in *RoleBindingDelete) (*nothing, error) {
	request, version, err := c.change(in.Conditional)
	if err != nil {
		return nil, err
	}
	return &nothing{}, s.config.Broker.DeleteBinding(ctx, request, fsm.BindingID(in.ID), version)
}

func roleOf(r access.Role) types.Role {
	out := types.Role{Name: string(r.Name), Help: r.Help}
	for _, action := range r.Actions {
		out.Actions = append(out.Actions, string(action))
	}
	return out
}

func bindingOf(b fsm.Binding) types.RoleBinding {
	return types.RoleBinding{
		ID: string(b.ID), Role: string(b.Role), Account: string(b.Account), Group: string(b.Group), Scope: string(b.Scope),
		CreatedAt: b.CreatedAt.Time(), Version: b.Version,
	}
}
