package ldap

import (
	"context"
	"fmt"
	"strings"

	goldap "github.com/go-ldap/ldap/v3"

	"broker/providers"
)

// Revoke takes each login's password, then its groups, then its entry. What is in the way of one step is no reason to
// leave the next one out, since each takes something from whoever has the login open.
func (b *backend) Revoke(ctx context.Context, logins []providers.Login) map[providers.LoginName]error {
	return b.each(ctx, logins, 10, b.revoke)
}

func (b *backend) revoke(ctx context.Context, c *conn, login providers.Login) error {
	lock := b.lock(ctx, c, login)
	var problems []error
	for _, step := range []func(context.Context, *conn, providers.Login) error{b.undo, b.leaveGroups} {
		if !c.broken {
			problems = append(problems, step(ctx, c, login))
		}
	}
	remove := lock
	if !c.broken {
		remove = b.remove(ctx, c, login)
	}
	if remove != nil { // without its entry no password matters
		problems = append([]error{lock, remove}, problems...)
	}
	return together(problems)
}

// lock takes the entry's password: no bind is accepted from then on.
func (b *backend) lock(ctx context.Context, c *conn, login providers.Login) error {
	request := goldap.NewModifyRequest(b.settings.dn(login.Name), nil)
	request.Replace("userPassword", nil)
	if err := c.Modify(request); err != nil && !b.absent(err) {
		return b.failed(ctx, c, err, "taking the password of entry %q", request.DN)
	}
	return nil
}

// remove deletes the entry.
func (b *backend) remove(ctx context.Context, c *conn, login providers.Login) error {
	request := goldap.NewDelRequest(b.settings.dn(login.Name), nil)
	if err := c.Del(request); err != nil && !b.absent(err) {
		return b.failed(ctx, c, err, "deleting entry %q", request.DN)
	}
	return nil
}

// absent reports whether a write was answered with proof that the entry does not exist: the directory names user_base
// as the part of the DN that does. A replica that takes no changes refers elsewhere instead, and an account that may
// see nothing is not told what exists.
func (b *backend) absent(err error) bool {
	if !answeredWith(err, goldap.LDAPResultNoSuchObject) {
		return false
	}
	matched, parseErr := goldap.ParseDN(result(err).MatchedDN)
	return parseErr == nil && b.settings.base.EqualFold(matched)
}

// undo makes the changes of the secret's deletion_ldif. They may have been made before.
func (b *backend) undo(ctx context.Context, c *conn, login providers.Login) error {
	t, err := parseDeletion(login.Options.String(optionDeletionLDIF))
	if err != nil {
		return providers.Errorf(providers.KindRejected, "undoing what was changed for %q: %s %w", string(login.Name), optionDeletionLDIF, err)
	}
	return b.withdraw(ctx, c, login, t.modifications(b.fillings(providers.Grant{Login: login})))
}

// leaveGroups ends the login's membership in the secret's groups, and in every other group that is found.
func (b *backend) leaveGroups(ctx context.Context, c *conn, login providers.Login) error {
	problems := []error{b.withdraw(ctx, c, login, b.memberships(login.Options, login.Name, goldap.DeleteAttribute))}
	if b.settings.groupBase != "" && !c.broken {
		found, err := b.groupsOf(ctx, c, login.Name)
		problems = append(problems, err, b.withdraw(ctx, c, login, found))
	}
	return together(problems)
}

// withdraw makes changes that take something away. That it is gone already is no error.
func (b *backend) withdraw(ctx context.Context, c *conn, login providers.Login, requests []*goldap.ModifyRequest) error {
	var problems []error
	for _, request := range requests {
		if c.broken {
			break
		}
		err := c.Modify(request)
		if err != nil && !answeredWith(err, goldap.LDAPResultNoSuchAttribute, goldap.LDAPResultNoSuchObject) {
			problems = append(problems, b.failed(ctx, c, err, "changing entry %q for the end of %q", request.DN, string(login.Name)))
		}
	}
	return together(problems)
}

// groupsOf searches for groups that name the login and returns the changes that end it. When the directory shows only
// some, those are returned together with the error, and the next revoke finds the others.
func (b *backend) groupsOf(ctx context.Context, c *conn, name providers.LoginName) ([]*goldap.ModifyRequest, error) {
	attributes := []string{memberAttribute, uniqueMemberAttribute, memberUIDAttribute}
	var filter strings.Builder
	for _, attribute := range attributes {
		fmt.Fprintf(&filter, "(%s=%s)", attribute, goldap.EscapeFilter(b.memberValue(attribute, name)))
	}
	// Only whether a group has the attribute is asked for: its values may be very many.
	request := goldap.NewSearchRequest(b.settings.groupBase, goldap.ScopeWholeSubtree, goldap.NeverDerefAliases, 0, 0, true, "(|"+filter.String()+")", attributes, nil)
	found, err := c.Search(request)
	if err != nil {
		err = b.failed(ctx, c, err, "searching groups of %q below %q", string(name), b.settings.groupBase)
	}
	if found == nil {
		return nil, err
	}
	var requests []*goldap.ModifyRequest
	for _, group := range found.Entries {
		for _, attribute := range attributes {
			for _, has := range group.Attributes {
				if strings.EqualFold(has.Name, attribute) {
					request := goldap.NewModifyRequest(group.DN, nil)
					request.Delete(has.Name, []string{b.memberValue(attribute, name)})
					requests = append(requests, request)
				}
			}
		}
	}
	return requests, err
}

// together makes one error of several, nil of none. It is unknown when one of them is, and else as the first.
func together(problems []error) error {
	var whole *providers.Error
	for _, problem := range problems {
		p, ok := problem.(*providers.Error)
		switch {
		case !ok || p == nil:
		case whole == nil:
			whole = &providers.Error{Kind: p.Kind, NotSent: p.NotSent, Hint: p.Hint, Err: p.Err}
		default:
			if p.Kind == providers.KindUnknown {
				whole.Kind = p.Kind
			}
			if whole.Hint == "" {
				whole.Hint = p.Hint
			}
			whole.NotSent = whole.NotSent && p.NotSent
			whole.Err = fmt.Errorf("%w; %w", whole.Err, p.Err)
		}
	}
	if whole == nil {
		return nil
	}
	return whole
}
