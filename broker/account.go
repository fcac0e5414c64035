package broker

import (
	"context"

	"broker/fsm"
)

// AccountSpec says what account to make.
type AccountSpec struct {
	Name        fsm.AccountName
	Kind        fsm.AccountKind
	Description string
	MaxLeases   uint64   // live at one time; zero: no limit
	IssueRate   fsm.Rate // the zero rate: no limit
}

// AccountChange says what to change; nil fields stay.
type AccountChange struct {
	Name      fsm.AccountName
	Disabled  *bool
	MaxLeases *uint64   // live at one time; zero: no limit
	IssueRate *fsm.Rate // the zero rate: no limit
	IfVersion uint64

	Description *string

	// DeleteMade deletes the tokens that it made for others, in the same step.
	DeleteMade bool
}

// CreateAccount makes an account. It may do nothing before somebody gives it a role.
func (b *Broker) CreateAccount(ctx context.Context, req Request, spec AccountSpec) (fsm.Account, error) {
	var ps problems
	ps.name("name", string(spec.Name))
	if spec.Kind != fsm.KindUser && spec.Kind != fsm.KindService {
		ps.add("kind", "%q is none of %s, %s", spec.Kind, fsm.KindUser, fsm.KindService)
	}
	ps.text("description", spec.Description, maxDescription)
	ps.rate("issue_rate", spec.IssueRate)
	return change[fsm.Account](ctx, b, req, ps, &fsm.CreateAccount{
		Name: spec.Name, Kind: spec.Kind, Description: spec.Description, MaxLeases: spec.MaxLeases, IssueRate: spec.IssueRate,
	})
}

// RestoreAdmin sees to it that an account is there, is let in and has role admin everywhere, for whoever has a node's data
// directory: they are never locked out. It reports whether there was anything to do.
func (b *Broker) RestoreAdmin(ctx context.Context, req Request, name fsm.AccountName) (bool, error) {
	found, err := b.account(name)
	restored := false
	switch {
	case isRefusal(err, fsm.CodeNotFound):
		restored = true
		_, err = b.CreateAccount(ctx, req, AccountSpec{Name: name, Kind: fsm.KindUser})
	case err == nil && found.Disabled:
		restored = true
		enabled := false
		_, _, err = b.UpdateAccount(ctx, req, AccountChange{Name: name, Disabled: &enabled})
	}
	if err != nil {
		return false, err
	}
	bound := false
	err = b.State.Peek(func(v *fsm.View) {
		for _, one := range v.BindingsOf(name, v.GroupsOf(name)) {
			bound = bound || one.Role == fsm.RoleAdmin && one.Scope == fsm.Everywhere
		}
	})
	if err != nil || bound {
		return restored, err
	}
	id, err := b.newID()
	if err != nil {
		return restored, err
	}
	_, err = change[fsm.Binding](ctx, b, req, nil, &fsm.CreateBinding{ID: fsm.BindingID(id), Role: fsm.RoleAdmin, Account: name, Scope: fsm.Everywhere})
	return true, err
}

// UpdateAccount changes an account. Disabling it also begins an operation that revokes its leases: both
// happen or neither.
func (b *Broker) UpdateAccount(ctx context.Context, req Request, c AccountChange) (fsm.Account, *fsm.Operation, error) {
	var ps problems
	if c.IssueRate != nil {
		ps.rate("issue_rate", *c.IssueRate)
	}
	if c.Description != nil {
		ps.text("description", *c.Description, maxDescription)
	}
	if c.Disabled != nil && *c.Disabled && c.Name == req.Actor.Account {
		ps.add("disabled", "an account cannot disable itself")
	}
	body := &fsm.UpdateAccount{
		Name: c.Name, Disabled: c.Disabled, MaxLeases: c.MaxLeases, IssueRate: c.IssueRate, IfVersion: c.IfVersion,
		Description: c.Description, DeleteMade: c.DeleteMade,
	}
	if c.Disabled == nil || !*c.Disabled {
		account, err := change[fsm.Account](ctx, b, req, ps, body)
		return account, nil, err
	}
	if err := ps.err(); err != nil {
		return fsm.Account{}, nil, err
	}
	selector := fsm.LeaseSelector{Account: c.Name}
	return changeAndRevoke[fsm.Account](ctx, b, req, selector, "the account is disabled", func(r *fsm.Revocation) fsm.Body {
		body.Revoke = r
		return body
	})
}

// DeleteAccount removes an account that holds no live leases.
func (b *Broker) DeleteAccount(ctx context.Context, req Request, name fsm.AccountName, ifVersion uint64) error {
	var ps problems
	if name == req.Actor.Account {
		ps.add("name", "an account cannot delete itself")
	}
	_, err := change[fsm.Account](ctx, b, req, ps, &fsm.DeleteAccount{Name: name, IfVersion: ifVersion})
	return err
}
