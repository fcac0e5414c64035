package postgres

import (
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
	fieldSSLMode          = "sslmode"
	fieldSSLRootCert      = "sslrootcert"
	fieldClientHost       = "client_host"
	fieldClientPort       = "client_port"
	fieldMaxConnections   = "max_connections"
	fieldConnectTimeout   = "connect_timeout"
	fieldStatementTimeout = "statement_timeout"
)

// Names of options.
const (
	optionMemberOf             = "member_of"
	optionCreationStatements   = "creation_statements"
	optionRevocationStatements = "revocation_statements"
	optionOwnerRole            = "owner_role"
	optionConnectionLimit      = "connection_limit"
	optionSCRAMIterations      = "scram_iterations"
	optionGrace                = "grace"
)

const (
	defaultConnectTimeout   = 5 * time.Second
	defaultStatementTimeout = 10 * time.Second
	defaultSCRAMIterations  = 4096
	defaultGrace            = 5 * time.Minute

	// maxIdentifier is NAMEDATALEN - 1; PostgreSQL cuts longer names without a word.
	maxIdentifier = 63

	// maxPassword is what every driver and pooler takes; the server itself has no such limit.
	maxPassword = 128
)

// Describe returns the description of the provider "postgres".
func (Provider) Describe() providers.Description {
	return providers.Description{
		Name:    "postgres",
		Title:   "PostgreSQL",
		Summary: "Roles that may log in to a PostgreSQL server, members of the group roles you name.",
		Connection: []providers.Field{
			{Name: fieldHost, Type: providers.TypeString, Required: true, Locates: true, Example: "db1.internal",
				Help: "Host name or address of the server. Connect to it directly: a pooler in between hides the broker's sessions from the server."},
			{Name: fieldPort, Type: providers.TypeInteger, Default: int64(5432), Min: providers.Limit(1), Max: providers.Limit(65535), Locates: true,
				Help: "Port of the server."},
			{Name: fieldDatabase, Type: providers.TypeString, Required: true, Locates: true, Example: "orders",
				Help: "Database that the broker connects to and that leased users are given."},
			{Name: fieldUsername, Type: providers.TypeString, Required: true, Example: "broker",
				Help: "Root account. It needs CREATEROLE and a few memberships, not superuser."},
			{Name: fieldPassword, Type: providers.TypeString, Required: true, Secret: true,
				Help: "Password of the root account."},
			{Name: fieldSSLMode, Type: providers.TypeString, Enum: []string{"disable", "prefer", "require", "verify-ca", "verify-full"},
				Help: "How the connection is encrypted. Off loopback it is verify-full unless something else is said; on loopback it is prefer."},
			{Name: fieldSSLRootCert, Type: providers.TypeText,
				Help: "Certificates (PEM) that the server's certificate is checked against. The system's are used when there are none."},
			{Name: fieldClientHost, Type: providers.TypeString, Example: "db.example.com",
				Help: "Host that outputs show, when clients reach the server by another one than the broker."},
			{Name: fieldClientPort, Type: providers.TypeInteger, Min: providers.Limit(1), Max: providers.Limit(65535),
				Help: "Port that outputs show, when it is not the broker's."},
			{Name: fieldMaxConnections, Type: providers.TypeInteger, Default: int64(8), Min: providers.Limit(1), Max: providers.Limit(100),
				Help: "How many connections a broker node opens to the database at most. Revoking opens one more to each other database in which a login left something."},
			{Name: fieldConnectTimeout, Type: providers.TypeDuration, Default: defaultConnectTimeout.String(),
				Help: "How long one attempt to connect may take."},
			{Name: fieldStatementTimeout, Type: providers.TypeDuration, Default: defaultStatementTimeout.String(),
				Help: "How long one statement may take. The server enforces it."},
		},
		Options: append([]providers.Field{
			{Name: optionMemberOf, Type: providers.TypeList, Example: "readonly",
				Help: "Group roles that the login becomes a member of: the normal way to give it privileges."},
			{Name: optionCreationStatements, Type: providers.TypeList, Statements: true, Example: "GRANT SELECT ON orders TO {{name}}",
				Help: "Statements run after the role was made, in the same transaction. {{name}}, {{password}} and {{expiration}} are replaced, quoted; {{password}} is a SCRAM verifier."},
			{Name: optionRevocationStatements, Type: providers.TypeList, Statements: true, Example: "DROP ROLE {{name}}",
				Help: "Statements that remove the role, in place of the broker's own; log-ins have been stopped and sessions ended before. They must leave no role behind. {{name}} is replaced, quoted."},
			{Name: optionOwnerRole, Type: providers.TypeString, Example: "orders_owner",
				Help: "Role that gets what a leased user made, when the lease ends. Without it, the owner of the database that the objects are in."},
			{Name: optionConnectionLimit, Type: providers.TypeInteger, Min: providers.Limit(-1), Max: providers.Limit(100000), Default: int64(-1),
				Help: "How many sessions a login may have at once; -1 is no limit."},
			{Name: optionSCRAMIterations, Type: providers.TypeInteger, Min: providers.Limit(1), Max: providers.Limit(1000000), Default: int64(defaultSCRAMIterations),
				Help: "Iterations of the SCRAM verifier. Passwords are random with at least 119 bits, so more only costs time at issue and log-in, and fewer than the default make both cheaper; but some drivers (JDBC) refuse fewer than 4096."},
			{Name: optionGrace, Type: providers.TypeDuration, Default: defaultGrace.String(),
				Help: "How long after the lease's end the server itself refuses new log-ins (VALID UNTIL), should the broker be down then."},
			providers.LoginNameOption(),
		}, providers.PasswordOptions(maxPassword)...),
		Outputs: []providers.Output{
			{Name: "username", Help: "Name of the role."},
			{Name: "password", Help: "Its password.", Secret: true},
			{Name: "host", Help: "Host for clients."},
			{Name: "port", Help: "Port for clients."},
			{Name: "database", Help: "Name of the database."},
			{Name: "url", Help: "All of it as a postgres:// URL.", Secret: true},
		},
		NativeExpiry: true,
		MaxLoginName: maxIdentifier,
		Rotates:      true,
	}
}
