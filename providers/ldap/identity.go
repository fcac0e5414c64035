package ldap

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	goldap "github.com/go-ldap/ldap/v3"

	"broker/providers"
)

// What the identity of a directory begins with: its own, or the address for want of one.
const (
	identityOwn     = "ldap-"
	identityAddress = "ldap-at-"
)

// The attributes by which directories tell one entry from every other for ever, in the order of preference: of
// RFC 4530, of 389 Directory Server, and of Active Directory.
var entryIDs = []string{"entryUUID", "nsUniqueId", "objectGUID"}

// find reads one entry; nil when there is none, or the root account may not see it.
func (b *backend) find(ctx context.Context, c *conn, dn string, attributes ...string) (*goldap.Entry, error) {
	request := goldap.NewSearchRequest(dn, goldap.ScopeBaseObject, goldap.NeverDerefAliases, 2, 0, false, "(objectClass=*)", attributes, nil)
	found, err := c.Search(request)
	if answeredWith(err, goldap.LDAPResultNoSuchObject) {
		return nil, nil
	}
	if err != nil {
		return nil, b.failed(ctx, c, err, "reading entry %q", dn)
	}
	if len(found.Entries) == 0 {
		return nil, nil
	}
	return found.Entries[0], nil
}

// systemID is the id that user_base was given when it was made. Servers that replicate it are one system. Where it
// cannot be read, address and base have to do; then a directory that moves cannot be recognised.
func (b *backend) systemID(ctx context.Context, c *conn) (providers.SystemID, error) {
	base, err := b.find(ctx, c, b.settings.userBase, entryIDs...)
	if err != nil {
		return "", err
	}
	if base == nil {
		return "", &providers.Error{Kind: providers.KindRejected, Err: fmt.Errorf("there is no entry %q at the directory, or the root account %q may not read it", b.settings.userBase, b.settings.bindDN),
			Hint: "Make the entry that user_base names and let the root account read it; the provider's page has both."}
	}
	for _, attribute := range entryIDs {
		value := base.GetEqualFoldRawAttributeValue(attribute)
		switch {
		case len(value) == 0:
		case attribute == "objectGUID":
			return identityOwn + providers.SystemID(hex.EncodeToString(value)), nil
		default:
			return identityOwn + providers.SystemID(value), nil
		}
	}
	return identityAddress + providers.SystemID(b.settings.address()+"/"+b.settings.userBase), nil
}

// prove refuses any directory but the one that is meant, where every login is absent of course. It asks once for each
// connection. No operation of a call has been sent when it fails.
func (b *backend) prove(ctx context.Context, c *conn) error {
	meant := b.env.Identity
	if meant == "" || strings.HasPrefix(string(meant), identityAddress) {
		return nil
	}
	found, err := b.systemID(ctx, c)
	if err == nil && found == meant {
		return nil
	}
	refused := &providers.Error{Kind: providers.KindUnavailable, NotSent: true,
		Hint: "Let the connection's address lead to the directory again that its leases were made at, and let the root account read the entryUUID of user_base. If another directory has taken its place for good, say that the connection was replaced."}
	if err != nil {
		refused.Err = fmt.Errorf("asking the directory at %s who it is: %w", b.settings.address(), err)
	} else {
		refused.Err = fmt.Errorf("the directory at %s is another system than the one that is meant: %s, not %s", b.settings.address(), found, meant)
	}
	return refused
}
