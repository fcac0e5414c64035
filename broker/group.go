package broker

import (
	"context"
	"slices"

	"broker/fsm"
)

// GroupSpec says what group to make.
type GroupSpec struct {
	Name        fsm.GroupName
	Description string
	Members     []fsm.AccountName
}

// GroupChange says what to change; nil fields stay.
type GroupChange struct {
	Name        fsm.GroupName
	Description *string
	Add, Remove []fsm.AccountName
	IfVersion   uint64
}

// maxMemberChanges bounds how many members one request names.
const maxMemberChanges = 1000

// CreateGroup makes a group.
func (b *Broker) CreateGroup(ctx context.Context, req Request, spec GroupSpec) (fsm.Group, error) {
	var ps problems
	ps.name("name", string(spec.Name))
	ps.text("description", spec.Description, maxDescription)
	ps.members("members", spec.Members)
	if err := b.mayMove(req, spec.Name, spec.Members...); err != nil {
		return fsm.Group{}, err
	}
	return change[fsm.Group](ctx, b, req, ps, &fsm.CreateGroup{Name: spec.Name, Description: spec.Description, Members: spec.Members})
}

// UpdateGroup changes a group.
func (b *Broker) UpdateGroup(ctx context.Context, req Request, c GroupChange) (fsm.Group, error) {
	var ps problems
	if c.Description != nil {
		ps.text("description", *c.Description, maxDescription)
	}
	ps.members("add", c.Add)
	ps.members("remove", c.Remove)
	if err := b.mayMove(req, c.Name, slices.Concat(c.Add, c.Remove)...); err != nil {
		return fsm.Group{}, err
	}
	return change[fsm.Group](ctx, b, req, ps, &fsm.UpdateGroup{Name: c.Name, Description: c.Description, Add: c.Add, Remove: c.Remove, IfVersion: c.IfVersion})
}

// DeleteGroup removes a group; its members' accounts stay.
func (b *Broker) DeleteGroup(ctx context.Context, req Request, name fsm.GroupName, ifVersion uint64) error {
	if err := b.mayEnd(req, name); err != nil {
		return err
	}
	_, err := change[fsm.Group](ctx, b, req, nil, &fsm.DeleteGroup{Name: name, IfVersion: ifVersion})
	return err
}

func (ps *problems) members(field string, names []fsm.AccountName) {
	if len(names) > maxMemberChanges {
		ps.add(field, "at most %d at once, not %d", maxMemberChanges, len(names))
	}
	for _, name := range names {
		if !fsm.ValidName(string(name)) {
			ps.add(field, "%q is no valid name: %s", name, fsm.NameRule)
		}
	}
}
