package fsm

import (
	"fmt"
	"slices"
)

// Group is a set of accounts that can be given roles together.
type Group struct {
	Name        GroupName     `cbor:"1,keyasint"`
	Description string        `cbor:"2,keyasint,omitempty"`
	Members     []AccountName `cbor:"3,keyasint,omitempty"` // sorted
	CreatedAt   Instant       `cbor:"4,keyasint"`
	UpdatedAt   Instant       `cbor:"5,keyasint"`
	Version     uint64        `cbor:"6,keyasint"`
}

// CreateGroup makes a group. Value: Group.
type CreateGroup struct {
	Name        GroupName     `cbor:"1,keyasint"`
	Description string        `cbor:"2,keyasint,omitempty"`
	Members     []AccountName `cbor:"3,keyasint,omitempty"`
}

// UpdateGroup changes a group; nil fields stay. Adding who is in it and removing who is not changes nothing about them.
// Value: Group.
type UpdateGroup struct {
	Name        GroupName     `cbor:"1,keyasint"`
	Description *string       `cbor:"2,keyasint,omitempty"`
	Add         []AccountName `cbor:"3,keyasint,omitempty"`
	Remove      []AccountName `cbor:"4,keyasint,omitempty"`
	IfVersion   uint64        `cbor:"5,keyasint,omitempty"`
}

// DeleteGroup removes a group with the roles that it has; its members' accounts stay. Value: Group.
type DeleteGroup struct {
	Name      GroupName `cbor:"1,keyasint"`
	IfVersion uint64    `cbor:"2,keyasint,omitempty"`
}

func (*CreateGroup) commandType() CommandType { return TypeCreateGroup }
func (*UpdateGroup) commandType() CommandType { return TypeUpdateGroup }
func (*DeleteGroup) commandType() CommandType { return TypeDeleteGroup }

func (g Group) ref() string { return string(g.Name) }

func recallGroup(v *View, ref string) (any, bool) { return recalled(v.Group(GroupName(ref))) }

// maxMembers bounds a group, which is one record.
const maxMembers = 5000

// Group returns the group of that name.
func (v *View) Group(name GroupName) (Group, bool) { return groups.read(v, []byte(name)) }

// Groups returns up to limit groups in order of name, beginning after the one named.
func (v *View) Groups(after GroupName, limit int) []Group {
	return page(v.tx, groups, []byte(after), limit, nil)
}

// GroupsOf returns the groups that an account is in, in order of name.
func (v *View) GroupsOf(account AccountName) []GroupName {
	var list []GroupName
	eachRow(v.tx, bucketGroupsByMember, []byte(account), nil, false, func(k []byte) bool {
		list = append(list, GroupName(k))
		return true
	})
	return list
}

func groupMemberKeys(g *Group) [][]byte {
	list := make([][]byte, 0, len(g.Members))
	for _, m := range g.Members {
		list = append(list, []byte(m))
	}
	return list
}

func applyCreateGroup(t *txn, c *CreateGroup) (Group, *Refusal) {
	if !ValidName(string(c.Name)) {
		return Group{}, badName("group", string(c.Name))
	}
	if _, ok := t.Group(c.Name); ok {
		return Group{}, exists("name", "group", string(c.Name))
	}
	g := Group{Name: c.Name, Description: c.Description, CreatedAt: t.now()}
	details, r := t.changeMembers(&g, "members", c.Members, nil)
	if r != nil {
		return g, r
	}
	return t.putGroup(g, EventGroupCreated, details), nil
}

func applyUpdateGroup(t *txn, c *UpdateGroup) (Group, *Refusal) {
	g, ok := t.Group(c.Name)
	if !ok {
		return g, notFound("name", "group", string(c.Name))
	}
	if r := checkVersion(c.IfVersion, g.Version, "group", string(c.Name)); r != nil {
		return g, r
	}
	if r := t.mayJoin(c.Name, c.Add); r != nil {
		return g, r
	}
	if r := t.lastAdmin(func(b Binding, member AccountName) bool {
		return b.Group == c.Name && slices.Contains(c.Remove, member)
	}); r != nil {
		return g, r
	}
	details, r := t.changeMembers(&g, "add", c.Add, c.Remove)
	if r != nil {
		return g, r
	}
	set(&g.Description, c.Description)
	return t.putGroup(g, EventGroupUpdated, details), nil
}

func applyDeleteGroup(t *txn, c *DeleteGroup) (Group, *Refusal) {
	g, ok := t.Group(c.Name)
	if !ok {
		return g, notFound("name", "group", string(c.Name))
	}
	if r := checkVersion(c.IfVersion, g.Version, "group", string(c.Name)); r != nil {
		return g, r
	}
	if r := t.lastAdmin(func(b Binding, _ AccountName) bool { return b.Group == c.Name }); r != nil {
		return g, r
	}
	t.dropBindingsOf("", c.Name)
	groups.delete(t, []byte(c.Name))
	t.record(Event{Type: EventGroupDeleted, Subject: string(c.Name)})
	return g, nil
}

// changeMembers changes who is in a group that is not written yet, and tells what changed.
func (t *txn) changeMembers(g *Group, field string, add, remove []AccountName) (map[string]string, *Refusal) {
	members := slices.Clone(g.Members)
	for _, name := range add {
		if _, ok := t.Account(name); !ok {
			return nil, notFound(field, "account", string(name))
		}
		if at, in := slices.BinarySearch(members, name); !in {
			members = slices.Insert(members, at, name)
		}
	}
	for _, name := range remove {
		if at, in := slices.BinarySearch(members, name); in {
			members = slices.Delete(members, at, at+1)
		}
	}
	if len(members) > maxMembers {
		return nil, &Refusal{Code: CodeQuotaExceeded, Field: field, Message: fmt.Sprintf("a group has at most %s: make another", counted(maxMembers, "member"))}
	}
	details := map[string]string{}
	if came := missingFrom(g.Members, members); came != "" {
		details["added"] = came
	}
	if went := missingFrom(members, g.Members); went != "" {
		details["removed"] = went
	}
	g.Members = members
	return details, nil
}

// missingFrom names the members of a list that another has not.
func missingFrom(other, list []AccountName) string {
	var names []byte
	for _, name := range list {
		if _, in := slices.BinarySearch(other, name); !in {
			if len(names) > 0 {
				names = append(names, ' ')
			}
			names = append(names, name...)
		}
	}
	return string(names)
}

func (t *txn) putGroup(g Group, what EventType, details map[string]string) Group {
	g.UpdatedAt, g.Version = t.now(), t.meta.Index
	groups.put(t, g)
	t.record(Event{Type: what, Subject: string(g.Name), Details: details})
	return g
}

// leaveGroups takes an account out of its groups.
func (t *txn) leaveGroups(account AccountName) {
	for _, name := range t.GroupsOf(account) {
		g, _ := t.Group(name)
		if at, in := slices.BinarySearch(g.Members, account); in {
			g.Members = slices.Delete(slices.Clone(g.Members), at, at+1)
			t.putGroup(g, EventGroupUpdated, map[string]string{"removed": string(account)})
		}
	}
}
