package fsm

import (
	"fmt"
	"slices"
)

// RoleName names a role: a set of actions. What roles there are, package access says.
type RoleName string

// RoleAdmin is the role without which nobody could give any: somebody always has it everywhere.
const RoleAdmin RoleName = "admin"

// Binding gives an account, or the members of a group, a role within a scope.
type Binding struct {
	ID        BindingID   `cbor:"1,keyasint"`
	Role      RoleName    `cbor:"2,keyasint"`
	Account   AccountName `cbor:"3,keyasint,omitempty"` // either this
	Group     GroupName   `cbor:"4,keyasint,omitempty"` // or that
	Scope     Scope       `cbor:"5,keyasint"`
	CreatedAt Instant     `cbor:"6,keyasint"`
	Version   uint64      `cbor:"7,keyasint"`
}

// CreateBinding gives a role. Value: Binding.
type CreateBinding struct {
	ID      BindingID   `cbor:"1,keyasint"`
	Role    RoleName    `cbor:"2,keyasint"`
	Account AccountName `cbor:"3,keyasint,omitempty"`
	Group   GroupName   `cbor:"4,keyasint,omitempty"`
	Scope   Scope       `cbor:"5,keyasint"`
}

// DeleteBinding takes a role away. Value: Binding.
type DeleteBinding struct {
	ID        BindingID `cbor:"1,keyasint"`
	IfVersion uint64    `cbor:"2,keyasint,omitempty"`
}

func (*CreateBinding) commandType() CommandType { return TypeCreateBinding }
func (*DeleteBinding) commandType() CommandType { return TypeDeleteBinding }

var bindings = table[Binding]{
	bucket: "bindings",
	key:    func(r *Binding) []byte { return []byte(r.ID) },
	indexes: []index[Binding]{
		filedBy("bindings_by_subject", func(r *Binding) string { return bindingSubject(r.Account, r.Group) }),
		filedBy("bindings_by_role", func(r *Binding) string { return bindingRole(r.Role, r.Scope) }),
	},
}

func bindingSubject(account AccountName, group GroupName) string {
	if group != "" {
		return "group " + string(group)
	}
	return "account " + string(account)
}

func bindingRole(role RoleName, scope Scope) string { return string(role) + " " + string(scope) }

func (b Binding) ref() string { return string(b.ID) }

func recallBinding(v *View, ref string) (any, bool) { return recalled(v.Binding(BindingID(ref))) }

// maxBindings bounds what is looked through.
const maxBindings = 100_000

func applyCreateBinding(t *txn, c *CreateBinding) (Binding, *Refusal) {
	b := Binding{ID: c.ID, Role: c.Role, Account: c.Account, Group: c.Group, Scope: c.Scope, CreatedAt: t.now(), Version: t.meta.Index}
	if r := badBinding(b); r != nil {
		return Binding{}, r
	}
	if _, ok := t.Binding(b.ID); ok {
		return Binding{}, exists("", "binding", string(b.ID))
	}
	if b.Group != "" {
		if _, ok := t.Group(b.Group); !ok {
			return Binding{}, notFound("group", "group", string(b.Group))
		}
	} else if a, ok := t.Account(b.Account); !ok {
		return Binding{}, notFound("account", "account", string(b.Account))
	} else if r := going(TargetAccount, string(a.Name), a.Going); r != nil {
		return Binding{}, r
	}
	subject := bindingSubject(b.Account, b.Group)
	for _, old := range t.bindingsFiled("bindings_by_subject", subject) {
		if old.Role == b.Role && old.Scope == b.Scope {
			return Binding{}, (&Refusal{Code: CodeExists, Message: fmt.Sprintf("%s has role %s in %s already", subject, b.Role, b.Scope)}).
				With("binding_id", string(old.ID))
		}
	}
	if t.actsFor(b.Account, b.Group) {
		if r := t.selfGrant(b); r != nil {
			return Binding{}, r
		}
	}
	if t.Count(countBindings) >= maxBindings {
		return Binding{}, &Refusal{Code: CodeQuotaExceeded, Message: fmt.Sprintf("there are %d bindings, which is the most: give roles to groups", maxBindings)}
	}
	t.addBinding(b)
	return b, nil
}

// countBindings counts all bindings.
const countBindings = "bindings"

// badBinding refuses what is no binding.
func badBinding(b Binding) *Refusal {
	switch {
	case b.ID == "" || !ValidName(string(b.Role)):
		return badName("binding", string(b.Role))
	case (b.Account == "") == (b.Group == ""):
		return &Refusal{Code: CodeInvalid, Field: "account", Message: "a role is given to an account or to a group: to one of them"}
	case !ValidScope(string(b.Scope)):
		return &Refusal{Code: CodeInvalid, Field: "scope", Message: fmt.Sprintf("%q is no scope: give %s", b.Scope, ScopeRule)}
	}
	return nil
}

// addBinding writes a binding that nothing speaks against.
func (t *txn) addBinding(b Binding) {
	bindings.put(t, b)
	t.count(countBindings, 1)
	t.recordBinding(EventRoleBound, b)
}

func applyDeleteBinding(t *txn, c *DeleteBinding) (Binding, *Refusal) {
	b, ok := t.Binding(c.ID)
	if !ok {
		return b, notFound("id", "binding", string(c.ID))
	}
	if r := checkVersion(c.IfVersion, b.Version, "binding", string(c.ID)); r != nil {
		return b, r
	}
	if r := t.lastAdmin(func(other Binding, _ AccountName) bool { return other.ID == b.ID }); r != nil {
		return b, r
	}
	t.dropBinding(b)
	return b, nil
}

func (t *txn) dropBinding(b Binding) {
	bindings.delete(t, []byte(b.ID))
	t.count(countBindings, -1)
	t.recordBinding(EventRoleUnbound, b)
}

// dropBindingsOf removes what an account or a group that is being deleted has: a later one of that name must not
// have it.
func (t *txn) dropBindingsOf(account AccountName, group GroupName) {
	for _, b := range t.bindingsFiled("bindings_by_subject", bindingSubject(account, group)) {
		t.dropBinding(b)
	}
}

func (t *txn) recordBinding(what EventType, b Binding) {
	details := map[string]string{"role": string(b.Role), "scope": string(b.Scope)}
	if b.Group != "" {
		details["group"] = string(b.Group)
	} else {
		details["account"] = string(b.Account)
	}
	t.record(Event{Type: what, Subject: string(b.ID), Details: details})
}

// actsFor reports whether the actor would have what the account or the members of the group have.
func (t *txn) actsFor(account AccountName, group GroupName) bool {
	if t.actor.Account == "" {
		return false // the broker itself, at the word of whoever has the host
	}
	if account != "" {
		return account == t.actor.Account
	}
	g, _ := t.Group(group)
	return slices.Contains(g.Members, t.actor.Account)
}

// selfGrant refuses to give the actor a role that it does not have already.
func (t *txn) selfGrant(b Binding) *Refusal {
	for _, have := range t.BindingsOf(t.actor.Account, t.GroupsOf(t.actor.Account)) {
		if have.Role == b.Role && have.Scope.Covers(b.Scope) {
			return nil
		}
	}
	return (&Refusal{Code: CodeSelfGrant, Message: fmt.Sprintf("nobody gives itself a role: account %q does not have %s in %s", t.actor.Account, b.Role, b.Scope)}).
		With("hint", "another account that may give roles has to do it")
}

// mayJoin refuses to let the actor into a group that has a role which it does not have itself.
func (t *txn) mayJoin(group GroupName, added []AccountName) *Refusal {
	if t.actor.Account == "" || !slices.Contains(added, t.actor.Account) {
		return nil
	}
	for _, b := range t.bindingsFiled("bindings_by_subject", bindingSubject("", group)) {
		if r := t.selfGrant(b); r != nil {
			return r
		}
	}
	return nil
}

// lastAdmin refuses a change after which nobody would have role admin everywhere. gone says which account would not
// have it any more by which binding.
func (t *txn) lastAdmin(gone func(Binding, AccountName) bool) *Refusal {
	had, left := false, false
	for _, b := range t.bindingsFiled("bindings_by_role", bindingRole(RoleAdmin, Everywhere)) {
		subjects := []AccountName{b.Account}
		if b.Group != "" {
			g, _ := t.Group(b.Group)
			subjects = g.Members
		}
		for _, name := range subjects {
			if a, ok := t.Account(name); !ok || a.Disabled || a.Going != "" {
				continue
			}
			had = true
			left = left || !gone(b, name)
		}
	}
	if !had || left {
		return nil
	}
	return (&Refusal{Code: CodeLastAdmin, Message: "after this nobody would have role admin everywhere"}).
		With("hint", "give another account role admin first: brokerctl role bind admin --account ACCOUNT --scope '*'")
}

// Binding returns the binding with that id.
func (v *View) Binding(id BindingID) (Binding, bool) { return bindings.get(v.tx, []byte(id)) }

// Bindings returns up to limit bindings in the order of their making, beginning after the one named.
func (v *View) Bindings(after BindingID, limit int) []Binding {
	return page(v.tx, bindings, []byte(after), limit, nil)
}

// BindingsOf returns the bindings of an account, if one is named, and of groups.
func (v *View) BindingsOf(account AccountName, groups []GroupName) []Binding {
	var list []Binding
	if account != "" {
		list = v.bindingsFiled("bindings_by_subject", bindingSubject(account, ""))
	}
	for _, g := range groups {
		list = append(list, v.bindingsFiled("bindings_by_subject", bindingSubject("", g))...)
	}
	return list
}

func (v *View) bindingsFiled(bucket, under string) []Binding {
	var list []Binding
	eachRow(v.tx, bucket, []byte(under), nil, false, func(k []byte) bool {
		if b, ok := v.Binding(BindingID(k)); ok {
			list = append(list, b)
		}
		return true
	})
	return list
}
