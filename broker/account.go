package broker

import (
	"context"

	"broker/fsm"
)

// AccountChange says what to change; nil fields stay.
type AccountChange struct {
	Name      fsm.AccountName
	Disabled  *bool
	MaxLeases *uint64   // live at one time; zero: no limit
	IssueRate *fsm.Rate // the zero rate: no limit
	IfVersion uint64
}

// UpdateAccount changes an account. Disabling it also begins an operation that revokes its leases: both
// happen or neither.
func (b *Broker) UpdateAccount(ctx context.Context, req Request, c AccountChange) (fsm.Account, *fsm.Operation, error) {
	var ps problems
	if c.IssueRate != nil {
		ps.rate("issue_rate", *c.IssueRate)
	}
	if c.Disabled != nil && *c.Disabled && c.Name == req.Actor.Account {
		ps.add("disabled", "an account cannot disable itself")
	}
	body := &fsm.UpdateAccount{
		Name: c.Name, Disabled: c.Disabled, MaxLeases: c.MaxLeases, IssueRate: c.IssueRate, IfVersion: c.IfVersion,
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
