package ldap

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"

	goldap "github.com/go-ldap/ldap/v3"

	"broker/providers"
)

// oidPasswordModify is the operation that sets passwords (RFC 3062).
const oidPasswordModify = "1.3.6.1.4.1.4203.1.11.1"

// probeName is what no login is named: a unique part is longer.
const probeName = "check"

// Check looks at user_base, at what the directory supports and whether it takes changes. Whether the root account may make entries no directory
// says without being told to make one; OpenLDAP's control for that (no-op) damages the database.
func (b *backend) Check(ctx context.Context) (providers.SystemID, error) {
	ctx, cancel := b.bound(ctx, 4)
	defer cancel()
	// Whichever directory answers: Check is how its identity becomes known.
	c, err := b.reach(ctx)
	if err != nil {
		return "", err
	}
	defer b.release(c)
	id, err := b.systemID(ctx, c)
	if err != nil {
		return "", err
	}
	root, err := b.find(ctx, c, "", "supportedExtension")
	if err != nil {
		return "", err
	}
	// A directory that shows nothing may support it all the same.
	if extensions := root.GetEqualFoldAttributeValues("supportedExtension"); root != nil && len(extensions) > 0 && !slices.Contains(extensions, oidPasswordModify) {
		return "", &providers.Error{Kind: providers.KindUnsupported, Hint: "The directory has to support the password modify operation of RFC 3062.",
			Err: fmt.Errorf("the directory at %s does not offer to set passwords (extension %s)", b.settings.address(), oidPasswordModify)}
	}
	return id, b.takesChanges(ctx, c)
}

// takesChanges refuses a replica, or a database that is closed to changes. It asks for a value of user_base to be taken
// away that it does not have: that changes nothing, and a replica refers elsewhere before it looks.
func (b *backend) takesChanges(ctx context.Context, c *conn) error {
	if b.env.ReadOnly {
		return nil
	}
	request := goldap.NewModifyRequest(b.settings.userBase, nil)
	request.Delete(b.settings.recordAttribute, []string{rand.Text()})
	err := c.Modify(request)
	if err == nil {
		return nil
	}
	// What it does not have, or may not, or does not know, says that it would.
	e := b.failed(ctx, c, err, "asking whether entry %q could be changed", b.settings.userBase)
	if e.Kind == providers.KindUnavailable || e.Kind == providers.KindUnknown {
		return e
	}
	return nil
}

// CheckOptions looks at the directory whether the groups exist and the root account could change them, and that none
// of them has the root account as a member.
func (b *backend) CheckOptions(ctx context.Context, options providers.Options) ([]providers.FieldError, error) {
	groups := options.List(optionGroups)
	ctx, cancel := b.bound(ctx, 1+2*len(groups))
	defer cancel()
	c, err := b.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer b.release(c)
	var problems []providers.FieldError
	for _, request := range b.memberships(options, providers.LoginName(b.env.Prefix+probeName), goldap.DeleteAttribute) {
		problem, err := b.checkGroup(ctx, c, request)
		if err != nil {
			return nil, err
		}
		if problem != "" {
			problems = append(problems, providers.FieldError{Field: optionGroups, Message: problem})
		}
	}
	return problems, nil
}

// checkGroup says what is wrong with a group, or "".
func (b *backend) checkGroup(ctx context.Context, c *conn, request *goldap.ModifyRequest) (string, error) {
	// Asked for by a filter, since a group may have very many members.
	root := goldap.EscapeFilter(b.settings.bindDN)
	found, err := c.Search(goldap.NewSearchRequest(request.DN, goldap.ScopeBaseObject, goldap.NeverDerefAliases, 2, 0, false,
		fmt.Sprintf("(|(%s=%s)(%s=%s))", memberAttribute, root, uniqueMemberAttribute, root), []string{"1.1"}, nil))
	switch {
	case answeredWith(err, goldap.LDAPResultNoSuchObject):
		return fmt.Sprintf("there is no group %q at the directory, or the root account %q may not see it", request.DN, b.settings.bindDN), nil
	case err != nil:
		return "", b.failed(ctx, c, err, "reading group %q", request.DN)
	case len(found.Entries) > 0:
		return fmt.Sprintf("the root account is a member of group %q: a leased user would have its rights over every login; name a group that holds only what leased users need", request.DN), nil
	}
	if b.env.ReadOnly {
		return "", nil
	}
	// Taking somebody out who is no member changes nothing, and is refused first to whoever may take nobody out.
	err = c.Modify(request)
	attribute := request.Changes[0].Modification.Type
	switch answered := result(err); {
	case answeredWith(err, goldap.LDAPResultNoSuchAttribute):
		return "", nil
	case err == nil:
		return "", providers.Errorf(providers.KindRejected, "checking group %q: it had the member %q, which no lease has", request.DN, request.Changes[0].Modification.Vals[0])
	case answeredWith(err, goldap.LDAPResultInsufficientAccessRights):
		return fmt.Sprintf("the root account %q may not change %s of group %q: olcAccess: to dn.base=%q attrs=%s by dn.exact=%q write by * break", b.settings.bindDN, attribute, request.DN, request.DN, attribute, b.settings.bindDN), nil
	case answeredWith(err, goldap.LDAPResultUndefinedAttributeType, goldap.LDAPResultObjectClassViolation):
		return fmt.Sprintf("group %q cannot have %s: %v; choose another group_attribute", request.DN, attribute, answered), nil
	}
	return "", b.failed(ctx, c, err, "checking %s of group %q", attribute, request.DN)
}
