package ldap

import (
	"time"

	"broker/providers"
)

// Names of connection fields.
const (
	fieldHost            = "host"
	fieldPort            = "port"
	fieldStartTLS        = "starttls"
	fieldBindDN          = "bind_dn"
	fieldBindPassword    = "bind_password"
	fieldUserBase        = "user_base"
	fieldNameAttribute   = "name_attribute"
	fieldRecordAttribute = "record_attribute"
	fieldGroupBase       = "group_base"
	fieldClientHost      = "client_host"
	fieldClientPort      = "client_port"
	fieldMaxConnections  = "max_connections"
	fieldConnectTimeout  = "connect_timeout"
	fieldTimeout         = "timeout"
)

// Names of options.
const (
	optionGroups         = "groups"
	optionGroupAttribute = "group_attribute"
	optionCreationLDIF   = "creation_ldif"
	optionDeletionLDIF   = "deletion_ldif"
)

// The attributes by which groups name their members.
const (
	memberAttribute       = "member"
	uniqueMemberAttribute = "uniqueMember"
	memberUIDAttribute    = "memberUid" // holds a name, not a DN
)

const (
	defaultConnectTimeout = 5 * time.Second
	defaultTimeout        = 10 * time.Second
	defaultMaxConnections = 4

	portLDAP  = 389
	portLDAPS = 636

	maxLoginName = 64
	maxPassword  = 128
)

// Describe returns the description of the provider "ldap".
func (Provider) Describe() providers.Description {
	limit := providers.Limit
	connection := []providers.Field{
		{Name: fieldHost, Type: providers.TypeString, Required: true, Locates: true, Example: "ldap.internal",
			Help: "Host name or address of a directory server that takes changes, not of a read-only replica."},
		{Name: fieldPort, Type: providers.TypeInteger, Min: limit(1), Max: limit(65535), Locates: true,
			Help: "Port of the server. Without it 636, or 389 with starttls or without TLS."},
		{Name: fieldStartTLS, Type: providers.TypeBoolean, Default: false,
			Help: "Begin in clear and switch to TLS before anything else is said, rather than speak TLS from the start (ldaps)."},
		{Name: fieldBindDN, Type: providers.TypeString, Required: true, Example: "cn=broker,ou=services,dc=example,dc=com",
			Help: "Root account. It needs to write below user_base and the members of groups, nothing else."},
		{Name: fieldBindPassword, Type: providers.TypeString, Required: true, Secret: true,
			Help: "Password of the root account."},
		{Name: fieldUserBase, Type: providers.TypeString, Required: true, Locates: true, Example: "ou=leases,dc=example,dc=com",
			Help: "Entry directly below which logins are made. Give them one of their own."},
		{Name: fieldNameAttribute, Type: providers.TypeString, Enum: []string{"uid", "cn"}, Default: "uid", Locates: true,
			Help: "Attribute that names a login's entry: its DN is this, the login's name and user_base."},
		{Name: fieldRecordAttribute, Type: providers.TypeString, Default: "description",
			Help: "Attribute of the entry that takes the ids of cluster and lease. The sweep removes only what carries them."},
		{Name: fieldGroupBase, Type: providers.TypeString, Example: "ou=groups,dc=example,dc=com",
			Help: "Entry below which a revoke searches for groups that still name the login, whoever added it. Without it only the secret's own groups are left."},
	}
	connection = append(connection, providers.TLSFields()...)
	connection = append(connection,
		providers.Field{Name: fieldClientHost, Type: providers.TypeString, Example: "ldap.example.com",
			Help: "Host that outputs show, when clients reach the directory by another one than the broker."},
		providers.Field{Name: fieldClientPort, Type: providers.TypeInteger, Min: limit(1), Max: limit(65535),
			Help: "Port that outputs show, when it is not the broker's."},
		providers.Field{Name: fieldMaxConnections, Type: providers.TypeInteger, Default: int64(defaultMaxConnections), Min: limit(1), Max: limit(100),
			Help: "How many connections a broker node opens to the directory at most."},
		providers.Field{Name: fieldConnectTimeout, Type: providers.TypeDuration, Default: defaultConnectTimeout.String(),
			Help: "How long one attempt to connect may take."},
		providers.Field{Name: fieldTimeout, Type: providers.TypeDuration, Default: defaultTimeout.String(),
			Help: "How long the answer to one operation may take."},
	)
	options := []providers.Field{
		providers.LoginNameOption(),
		{Name: optionGroups, Type: providers.TypeList, Example: "cn=readers,ou=groups,dc=example,dc=com",
			Help: "DNs of the groups that the login becomes a member of: the normal way to give it rights."},
		{Name: optionGroupAttribute, Type: providers.TypeString, Default: memberAttribute,
			Enum: []string{memberAttribute, uniqueMemberAttribute, memberUIDAttribute},
			Help: "Attribute by which these groups name their members: member and uniqueMember take the login's DN, memberUid its name."},
		{Name: optionCreationLDIF, Type: providers.TypeText, Statements: true,
			Help: "LDIF that makes the login, in place of an inetOrgPerson: the entry {{dn}}, then changes to other entries. {{name}}, {{dn}}, {{base}}, {{cluster}}, {{lease}}, {{app}}, {{env}}, {{secret}} and {{account}} are replaced. It holds no password; that is set afterwards."},
		{Name: optionDeletionLDIF, Type: providers.TypeText, Statements: true,
			Help: "LDIF of changes made before the entry is deleted, to undo those of creation_ldif. {{name}}, {{dn}} and {{base}} are replaced. What is gone already is no error."},
	}
	return providers.Description{
		Name:       "ldap",
		Title:      "LDAP",
		Summary:    "Entries that may bind to an LDAP directory such as OpenLDAP, members of the groups you name.",
		Connection: connection,
		Options:    append(options, providers.PasswordOptions(maxPassword)...),
		Outputs: []providers.Output{
			{Name: "username", Help: "Name of the login."},
			{Name: "dn", Help: "DN of its entry, to bind as."},
			{Name: "password", Help: "Its password.", Secret: true},
			{Name: "host", Help: "Host for clients."},
			{Name: "port", Help: "Port for clients."},
			{Name: "url", Help: "Host and port as an ldap:// or ldaps:// URL, which holds no password."},
		},
		Rotates:      true,
		MaxLoginName: maxLoginName,
	}
}
