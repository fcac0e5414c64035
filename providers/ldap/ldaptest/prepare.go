package ldaptest

import (
	"context"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"strings"
)

// What the directory holds once it was prepared.
const (
	UserBase  = "ou=leases," + Suffix
	GroupBase = "ou=groups," + Suffix
	RootDN    = "cn=broker,ou=services," + Suffix

	ReadGroup  = "cn=readers," + GroupBase // may read what is below DataBase
	WriteGroup = "cn=writers," + GroupBase // names members by uniqueMember
	PosixGroup = "cn=staff," + GroupBase   // names members by memberUid
	AdminGroup = "cn=brokers," + GroupBase // the root account is a member
	DataBase   = "ou=data," + Suffix
)

// directory is what the directory holds before anything is prepared for the broker.
const directory = `dn: dc=example,dc=com
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: ou=services,dc=example,dc=com
objectClass: organizationalUnit
ou: services

dn: ou=groups,dc=example,dc=com
objectClass: organizationalUnit
ou: groups

dn: cn=readers,ou=groups,dc=example,dc=com
objectClass: groupOfNames
cn: readers
member: cn=nobody,dc=example,dc=com

dn: cn=writers,ou=groups,dc=example,dc=com
objectClass: groupOfUniqueNames
cn: writers
uniqueMember: cn=nobody,dc=example,dc=com

dn: cn=staff,ou=groups,dc=example,dc=com
objectClass: posixGroup
cn: staff
gidNumber: 5000

dn: cn=brokers,ou=groups,dc=example,dc=com
objectClass: groupOfNames
cn: brokers
member: cn=broker,ou=services,dc=example,dc=com

dn: ou=data,dc=example,dc=com
objectClass: organizationalUnit
ou: data
description: for readers
`

// RootEntries returns the LDIF by which the directory's administrator makes the base of logins and the broker's root
// account. It is that of the provider's page.
func RootEntries(password string) string {
	return `dn: ou=leases,dc=example,dc=com
changetype: add
objectClass: organizationalUnit
ou: leases

dn: cn=broker,ou=services,dc=example,dc=com
changetype: add
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: broker
userPassword: ` + password + `
`
}

// RootAccess is the LDIF by which the configuration's administrator gives the root account its rights. It is that of
// the provider's page.
const RootAccess = `dn: olcDatabase={1}mdb,cn=config
changetype: modify
add: olcAccess
olcAccess: {0}to dn.exact="cn=broker,ou=services,dc=example,dc=com" attrs=userPassword
  by self =xw by anonymous auth by * none
olcAccess: {1}to dn.children="ou=leases,dc=example,dc=com" attrs=userPassword
  by dn.exact="cn=broker,ou=services,dc=example,dc=com" =w by anonymous auth by * none
olcAccess: {2}to dn.children="ou=leases,dc=example,dc=com"
  by dn.exact="cn=broker,ou=services,dc=example,dc=com" write by * break
olcAccess: {3}to dn.base="ou=leases,dc=example,dc=com" attrs=children
  by dn.exact="cn=broker,ou=services,dc=example,dc=com" write by * break
olcAccess: {4}to dn.base="ou=leases,dc=example,dc=com"
  by dn.exact="cn=broker,ou=services,dc=example,dc=com" read by * break
olcAccess: {5}to dn.children="ou=groups,dc=example,dc=com" attrs=member,uniqueMember,memberUid
  by dn.exact="cn=broker,ou=services,dc=example,dc=com" write by * break
olcAccess: {6}to dn.subtree="ou=groups,dc=example,dc=com"
  by dn.exact="cn=broker,ou=services,dc=example,dc=com" read by * break
-
add: olcLimits
olcLimits: dn.exact="cn=broker,ou=services,dc=example,dc=com" size=unlimited
`

// Prepare makes the base of logins and the root account with its rights, by the page's LDIF, and returns the root
// account's password.
func (s *Server) Prepare(ctx context.Context) (rootPassword string, err error) {
	rootPassword = rand.Text()
	if err := s.Modify(ctx, AdminDN, RootEntries(rootPassword)); err != nil {
		return "", fmt.Errorf("preparing the root account: %w", err)
	}
	if err := s.Modify(ctx, configDN, RootAccess); err != nil {
		return "", fmt.Errorf("preparing the root account's rights: %w", err)
	}
	s.rootPassword = rootPassword
	return rootPassword, nil
}

// Modify has ldapmodify carry LDIF out as the directory's administrator, or as that of the configuration (cn=config).
func (s *Server) Modify(ctx context.Context, as, ldif string) error {
	file, err := s.Write("modify-"+strings.ToLower(rand.Text())+".ldif", []byte(ldif))
	if err != nil {
		return err
	}
	_, err = s.Exec(ctx, nil, "ldapmodify", "-x", "-H", fmt.Sprintf("ldap://%s:%d", Host, s.Ports[0]), "-D", as, "-y", filepath.Join(s.Dir, "admin.password"), "-f", file)
	return err
}

// Connection returns the settings of a connection to the prepared directory.
func (s *Server) Connection() map[string]any {
	return map[string]any{
		"host": Host, "port": s.Ports[1], "tls_ca": s.Authority,
		"bind_dn": RootDN, "bind_password": s.rootPassword,
		"user_base": UserBase, "group_base": GroupBase,
	}
}

// Options returns the options of a secret whose logins may read what is below DataBase.
func (s *Server) Options() map[string]any { return map[string]any{"groups": ReadGroup} }
