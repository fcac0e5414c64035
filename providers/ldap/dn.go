package ldap

import (
	"errors"
	"strings"

	goldap "github.com/go-ldap/ldap/v3"

	"broker/providers"
)

// parseDN reads a DN that names an entry.
func parseDN(text string) (*goldap.DN, error) {
	dn, err := goldap.ParseDN(text)
	if err != nil || len(dn.RDNs) == 0 {
		return nil, errors.New("is no DN such as ou=people,dc=example,dc=com")
	}
	return dn, nil
}

// escapeDN escapes a text to stand as a value in a DN.
func escapeDN(value string) string {
	return strings.TrimPrefix((&goldap.AttributeTypeAndValue{Type: "x", Value: value}).String(), "x=")
}

// dn returns the DN of a login's entry.
func (s settings) dn(name providers.LoginName) string {
	return s.nameAttribute + "=" + escapeDN(string(name)) + "," + s.userBase
}

// nameIn returns the name of the login that a DN directly below user_base belongs to.
func (s settings) nameIn(text string) (providers.LoginName, bool) {
	dn, err := goldap.ParseDN(text)
	if err != nil || len(dn.RDNs) != len(s.base.RDNs)+1 || !s.base.AncestorOfFold(dn) {
		return "", false
	}
	rdn := dn.RDNs[0].Attributes
	if len(rdn) != 1 || !strings.EqualFold(rdn[0].Type, s.nameAttribute) {
		return "", false
	}
	return providers.LoginName(rdn[0].Value), true
}
