package mysql

import (
	"slices"
	"time"

	"broker/providers"
)

// Names of connection fields.
const (
	fieldHost             = "host"
	fieldPort             = "port"
	fieldDatabase         = "database"
	fieldUsername         = "username"
	fieldPassword         = "password"
	fieldClientHost       = "client_host"
	fieldClientPort       = "client_port"
	fieldMaxConnections   = "max_connections"
	fieldConnectTimeout   = "connect_timeout"
	fieldStatementTimeout = "statement_timeout"
)

// Names of options.
const (
	optionRoles                = "roles"
	optionGrants               = "grants"
	optionCreationStatements   = "creation_statements"
	optionRevocationStatements = "revocation_statements"
	optionHost                 = "host"
	optionRequireTLS           = "require_tls"
	optionConnectionLimit      = "connection_limit"
)

const (
	defaultPort             = 3306
	defaultMaxConnections   = 8
	defaultConnectTimeout   = 5 * time.Second
	defaultStatementTimeout = 10 * time.Second
	defaultHost             = "%"

	// maxLoginName is what MySQL takes; MariaDB takes 80.
	maxLoginName = 32

	// maxPassword is what every plugin takes that keeps passwords.
	maxPassword = 128
)

// Describe returns the description of the provider "mysql".
func (Provider) Describe() providers.Description {
	return providers.Description{
		Name:    "mysql",
		Title:   "MySQL and MariaDB",
		Summary: "Accounts at a MySQL (8.0.21 or newer) or MariaDB (10.6 or newer) server, with the roles or privileges you name.",
		Connection: slices.Concat([]providers.Field{
			{Name: fieldHost, Type: providers.TypeString, Required: true, Locates: true, Example: "db1.internal",
				Help: "Host name or address of the server that takes writes. Connect to it directly: a proxy in between hides sessions and locks."},
			{Name: fieldPort, Type: providers.TypeInteger, Default: int64(defaultPort), Min: providers.Limit(1), Max: providers.Limit(65535), Locates: true,
				Help: "Port of the server."},
			{Name: fieldUsername, Type: providers.TypeString, Required: true, Example: "broker",
				Help: "Root account. It needs CREATE USER, PROCESS, CONNECTION_ADMIN and what it grants, not SUPER."},
			{Name: fieldPassword, Type: providers.TypeString, Required: true, Secret: true,
				Help: "Password of the root account."},
			{Name: fieldDatabase, Type: providers.TypeString, Example: "orders",
				Help: "Database that outputs show. The broker itself uses none."},
			{Name: fieldClientHost, Type: providers.TypeString, Example: "db.example.com",
				Help: "Host that outputs show, when clients reach the server by another one than the broker."},
			{Name: fieldClientPort, Type: providers.TypeInteger, Min: providers.Limit(1), Max: providers.Limit(65535),
				Help: "Port that outputs show, when it is not the broker's."},
			{Name: fieldMaxConnections, Type: providers.TypeInteger, Default: int64(defaultMaxConnections), Min: providers.Limit(1), Max: providers.Limit(100),
				Help: "How many connections a broker node opens to the server at most."},
			{Name: fieldConnectTimeout, Type: providers.TypeDuration, Default: defaultConnectTimeout.String(),
				Help: "How long one attempt to connect and log in may take."},
			{Name: fieldStatementTimeout, Type: providers.TypeDuration, Default: defaultStatementTimeout.String(),
				Help: "How long one statement may take, waiting for the server's locks included."},
		}, providers.TLSFields()),
		Options: slices.Concat([]providers.Field{
			{Name: optionRoles, Type: providers.TypeList, Example: "readonly",
				Help: "Roles that the login is granted and has from the start of each session. MariaDB activates one role only: name one there."},
			{Name: optionGrants, Type: providers.TypeList, Example: "SELECT, INSERT ON orders.*",
				Help: "Privileges that the login is granted, each as PRIVILEGE[, …] ON database.* or database.table; quoted for you."},
			{Name: optionCreationStatements, Type: providers.TypeList, Statements: true, Example: "GRANT SELECT ON orders.* TO {{name}}@{{host}}",
				Help: "Statements run after the account was made and before it is unlocked. {{name}}, {{host}} and {{password}} are replaced by quoted strings."},
			{Name: optionRevocationStatements, Type: providers.TypeList, Statements: true, Example: "DROP USER {{name}}@{{host}}",
				Help: "Statements that remove the account, in place of the broker's own; it has been locked and its sessions ended before. They must leave no account behind. {{name}} and {{host}} are replaced."},
			{Name: optionHost, Type: providers.TypeString, Default: defaultHost, Example: "10.0.%",
				Help: "Host part of the account: where clients may connect from."},
			{Name: optionRequireTLS, Type: providers.TypeBoolean, Default: false,
				Help: "Whether the server refuses the login over a connection in clear (REQUIRE SSL)."},
			{Name: optionConnectionLimit, Type: providers.TypeInteger, Min: providers.Limit(0), Max: providers.Limit(100000), Default: int64(0),
				Help: "How many sessions a login may have at once; 0 is the server's own limit."},
			providers.LoginNameOption(),
		}, providers.PasswordOptions(maxPassword)),
		Outputs: []providers.Output{
			{Name: "username", Help: "Name of the account."},
			{Name: "password", Help: "Its password.", Secret: true},
			{Name: "host", Help: "Host for clients."},
			{Name: "port", Help: "Port for clients."},
			{Name: "database", Help: "Name of the database; empty when the connection names none."},
			{Name: "url", Help: "All of it as a mysql:// URL.", Secret: true},
		},
		Rotates:      true,
		MaxLoginName: maxLoginName,
	}
}
