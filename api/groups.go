package api

import (
	"context"
	"net/http"

	"broker/access"
	"broker/api/types"
	"broker/broker"
	"broker/fsm"
)

// GroupPath is part of every input about one group.
type GroupPath struct {
	Name string `path:"name"`
}

func (p GroupPath) resource() Resource { return Resource{Kind: access.KindGroup, Name: p.Name} }

// GroupList asks for groups.
type GroupList struct{ Paged }

func (GroupList) resource() Resource { return Resource{Kind: access.KindGroup} }

// GroupCreate asks for a new group.
type GroupCreate struct {
	Keyed
	Body types.GroupSpec
}

func (in GroupCreate) resource() Resource {
	return Resource{Kind: access.KindGroup, Name: in.Body.Name}
}

// GroupGet asks for one group.
type GroupGet struct {
	GroupPath
	Read
}

// GroupUpdate asks for a change of a group.
type GroupUpdate struct {
	GroupPath
	Conditional
	Body types.GroupChange
}

// GroupDelete asks for the end of a group.
type GroupDelete struct {
	GroupPath
	Conditional
}

func (r *routes) groups() {
	s := r.server
	register(r, route{id: "group-list", action: "group:list", method: http.MethodGet, path: "/groups", summary: "List groups by name"}, s.listGroups)
	register(r, route{id: "group-create", action: "group:create", method: http.MethodPost, path: "/groups", summary: "Make a group", status: http.StatusCreated}, s.createGroup)
	register(r, route{id: "group-get", action: "group:get", method: http.MethodGet, path: "/groups/{name}", summary: "Get a group"}, s.getGroup)
	register(r, route{id: "group-update", action: "group:update", method: http.MethodPatch, path: "/groups/{name}", summary: "Change a group and who is in it"}, s.updateGroup)
	register(r, route{id: "group-delete", action: "group:delete", method: http.MethodDelete, path: "/groups/{name}", summary: "Delete a group; its members' accounts stay"}, s.deleteGroup)
}

func (s *Server) listGroups(_ context.Context, c *call, in *GroupList) (*body[types.Page[types.Group]], error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	var list []fsm.Group
	err = s.view(c, func(view View) error {
		list = view.Groups(fsm.GroupName(after), in.limit()+1)
		return nil
	})
	return pageOf(list, in.limit(), groupOf, func(g fsm.Group) string { return string(g.Name) }), err
}

func (s *Server) createGroup(ctx context.Context, c *call, in *GroupCreate) (*created[types.Group], error) {
	made, err := s.config.Broker.CreateGroup(ctx, c.request(in.DryRun), broker.GroupSpec{
		Name: fsm.GroupName(in.Body.Name), Description: in.Body.Description, Members: namesFrom[fsm.AccountName](in.Body.Members),
	})
	if err != nil {
		return nil, err
	}
	c.setVersion(made.Version)
	return &created[types.Group]{createdStatus(in.DryRun), groupOf(made)}, nil
}

func (s *Server) getGroup(_ context.Context, c *call, in *GroupGet) (*body[types.Group], error) {
	var out body[types.Group]
	err := s.view(c, func(view View) error {
		found, ok := view.Group(fsm.GroupName(in.Name))
		if !ok {
			return notFound("group", in.Name)
		}
		c.setVersion(found.Version)
		out.Body = groupOf(found)
		return nil
	})
	return &out, err
}

func (s *Server) updateGroup(ctx context.Context, c *call, in *GroupUpdate) (*body[types.Group], error) {
	request, version, err := c.change(in.Conditional)
	if err != nil {
		return nil, err
	}
	changed, err := s.config.Broker.UpdateGroup(ctx, request, broker.GroupChange{
		Name: fsm.GroupName(in.Name), Description: in.Body.Description, IfVersion: version,
		Add: namesFrom[fsm.AccountName](in.Body.Add), Remove: namesFrom[fsm.AccountName](in.Body.Remove),
	})
	if err != nil {
		return nil, err
	}
	c.setVersion(changed.Version)
	return &body[types.Group]{groupOf(changed)}, nil
}

func (s *Server) deleteGroup(ctx context.Context, c *call, in *GroupDelete) (*nothing, error) {
	request, version, err := c.change(in.Conditional)
	if err != nil {
		return nil, err
	}
	return &nothing{}, s.config.Broker.DeleteGroup(ctx, request, fsm.GroupName(in.Name), version)
}

func groupOf(g fsm.Group) types.Group {
	members := textsOf(g.Members)
	if members == nil {
		members = []string{}
	}
	return types.Group{
		Name: string(g.Name), Description: g.Description, Members: members,
		CreatedAt: g.CreatedAt.Time(), UpdatedAt: g.UpdatedAt.Time(), Version: g.Version,
	}
}
