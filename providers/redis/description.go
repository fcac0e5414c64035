package redis

import (
	"time"

	"broker/providers"
)

// Names of connection fields.
const (
	fieldHost           = "host"
	fieldPort           = "port"
	fieldUsername       = "username"
	fieldPassword       = "password"
	fieldDatabase       = "database"
	fieldPersist        = "persist"
	fieldClientHost     = "client_host"
	fieldClientPort     = "client_port"
	fieldMaxConnections = "max_connections"
	fieldConnectTimeout = "connect_timeout"
	fieldCommandTimeout = "command_timeout"
)

// Names of options.
const (
	optionRules      = "rules"
	optionAdminRules = "admin_rules"
)

// The values of the field "persist".
const (
	persistFile   = "aclfile"
	persistConfig = "config"
	persistNone   = "none"
)

const (
	defaultPort           = 6379
	defaultMaxConnections = 16
	defaultConnectTimeout = 5 * time.Second
	defaultCommandTimeout = 10 * time.Second

	longestName     = 128 // the server has no limit
	longestPassword = 128 // likewise
)

// Describe returns the description of the provider "redis".
func (Provider) Describe() providers.Description {
	connection := []providers.Field{
		{Name: fieldHost, Type: providers.TypeString, Required: true, Locates: true, Example: "cache1.internal",
			Help: "Host name or address of the server itself: users exist at one server only, neither replicas nor the nodes of a Redis Cluster share them."},
		{Name: fieldPort, Type: providers.TypeInteger, Default: int64(defaultPort), Min: providers.Limit(1), Max: providers.Limit(65535), Locates: true,
			Help: "Port of the server."},
		{Name: fieldUsername, Type: providers.TypeString, Required: true, Example: "broker",
			Help: "Root account: the user by which the broker makes others. One of its channel patterns names the server; the provider's page has the command that makes it."},
		{Name: fieldPassword, Type: providers.TypeString, Required: true, Secret: true,
			Help: "Password of the root account."},
		{Name: fieldPersist, Type: providers.TypeString, Enum: []string{persistFile, persistConfig, persistNone}, Default: persistFile,
			Help: "How users outlive a restart of the server: aclfile saves them with ACL SAVE, config with CONFIG REWRITE, none not at all."},
		{Name: fieldDatabase, Type: providers.TypeInteger, Default: int64(0), Min: providers.Limit(0), Max: providers.Limit(65535),
			Help: "Number of the database that outputs show. Users are not bound to one."},
		{Name: fieldClientHost, Type: providers.TypeString, Example: "cache.example.com",
			Help: "Host that outputs show, when clients reach the server by another one than the broker."},
		{Name: fieldClientPort, Type: providers.TypeInteger, Min: providers.Limit(1), Max: providers.Limit(65535),
			Help: "Port that outputs show, when it is not the broker's."},
	}
	connection = append(connection, providers.TLSFields()...)
	connection = append(connection,
		providers.Field{Name: fieldMaxConnections, Type: providers.TypeInteger, Default: int64(defaultMaxConnections), Min: providers.Limit(2), Max: providers.Limit(100),
			Help: "How many connections a broker node opens to the server at most; one of them is kept for saving users."},
		providers.Field{Name: fieldConnectTimeout, Type: providers.TypeDuration, Default: defaultConnectTimeout.String(),
			Help: "How long one attempt to connect may take."},
		providers.Field{Name: fieldCommandTimeout, Type: providers.TypeDuration, Default: defaultCommandTimeout.String(),
			Help: "How long the server may take to answer."},
	)
	options := []providers.Field{
		{Name: optionRules, Type: providers.TypeList, Example: "~orders:* +@read",
			Help: "ACL rules that say what the login may do: keys (~orders:*, %R~orders:*), channels (&orders:*), commands (+get, +@read, -@dangerous), selectors. Administrative commands (-@admin) are taken away again after them."},
		{Name: optionAdminRules, Type: providers.TypeList, Statements: true, Example: "+client|list",
			Help: "ACL rules that are carried out after the others and may give administrative commands: with +acl or +config the login can make itself and others whatever it likes."},
		providers.LoginNameOption(),
	}
	return providers.Description{
		Name:       "redis",
		Title:      "Redis",
		Summary:    "Users of a Redis or Valkey server's access control lists, with the rules you name.",
		Connection: connection,
		Options:    append(options, providers.PasswordOptions(longestPassword)...),
		Outputs: []providers.Output{
			{Name: "username", Help: "Name of the user."},
			{Name: "password", Help: "Its password.", Secret: true},
			{Name: "host", Help: "Host for clients."},
			{Name: "port", Help: "Port for clients."},
			{Name: "database", Help: "Number of the database."},
			{Name: "url", Help: "All of it as a redis:// or rediss:// URL.", Secret: true},
		},
		Rotates:      true,
		MaxLoginName: longestName,
	}
}
