package rabbitmq

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
	fieldClientHost     = "client_host"
	fieldClientPort     = "client_port"
	fieldClientTLS      = "client_tls"
	fieldRequestTimeout = "request_timeout"
	fieldQuarantine     = "quarantine"
)

// Names of options.
const (
	optionPermissions      = "permissions"
	optionTopicPermissions = "topic_permissions"
	optionTags             = "tags"
	optionAdministrator    = "administrator"
)

const (
	defaultRequestTimeout = 10 * time.Second
	defaultQuarantine     = time.Minute

	longestName     = 128 // the server has no limit worth mentioning
	longestPassword = 128 // likewise
)

// Describe returns the description of the provider "rabbitmq".
func (Provider) Describe() providers.Description {
	connection := []providers.Field{
		{Name: fieldHost, Type: providers.TypeString, Required: true, Locates: true, Example: "rabbit.internal",
			Help: "Host name or address of the management API, of any node of the cluster."},
		{Name: fieldPort, Type: providers.TypeInteger, Min: providers.Limit(1), Max: providers.Limit(65535), Locates: true, Example: "15671",
			Help: "Port of the management API: 15671 unless something else is said, and 15672 when tls is off."},
		{Name: fieldUsername, Type: providers.TypeString, Required: true, Example: "broker",
			Help: "Root account. It has the tag administrator and needs no permissions in virtual hosts."},
		{Name: fieldPassword, Type: providers.TypeString, Required: true, Secret: true,
			Help: "Password of the root account."},
		{Name: fieldClientHost, Type: providers.TypeString, Example: "amqp.example.com",
			Help: "Host that outputs show, when clients reach the cluster by another one than the broker."},
		{Name: fieldClientPort, Type: providers.TypeInteger, Min: providers.Limit(1), Max: providers.Limit(65535),
			Help: "Port that outputs show, for AMQP: 5672 unless something else is said, and 5671 with client_tls."},
		{Name: fieldClientTLS, Type: providers.TypeBoolean, Default: false,
			Help: "Whether outputs show amqps:// instead of amqp://."},
	}
	connection = append(connection, providers.TLSFields()...)
	connection = append(connection,
		providers.Field{Name: fieldRequestTimeout, Type: providers.TypeDuration, Default: defaultRequestTimeout.String(),
			Help: "How long one request may take."},
		providers.Field{Name: fieldQuarantine, Type: providers.TypeDuration, Default: defaultQuarantine.String(),
			Help: "How long after its deadline a create that was sent may still be carried out, by a node that stood still. A login that was perhaps never made counts as absent only after that."},
	)
	options := []providers.Field{
		{Name: optionPermissions, Type: providers.TypeList, Example: "vhost=/ configure=^$ write=^orders$ read=.*",
			Help: "What the login may do, a line for each virtual host: vhost (/ unless said), and for configure, write and read a regular expression of names, which is ^$ (none) unless said. A value with blanks stands in double quotes."},
		{Name: optionTopicPermissions, Type: providers.TypeList, Example: "vhost=/ exchange=amq.topic write=^orders\\. read=.*",
			Help: "Further limits on topic exchanges, a line for each virtual host and exchange, with regular expressions of routing keys for write and read."},
		{Name: optionTags, Type: providers.TypeList, Example: "monitoring",
			Help: "Tags of the login, such as management, policymaker or monitoring, which open the management API to it."},
		{Name: optionAdministrator, Type: providers.TypeBoolean, Statements: true, Default: false,
			Help: "Whether the login has the tag administrator, with which it can make and remove every user, the broker's own too."},
		providers.LoginNameOption(),
	}
	return providers.Description{
		Name:       "rabbitmq",
		Title:      "RabbitMQ",
		Summary:    "Users of a RabbitMQ cluster, with the permissions and tags you name.",
		Connection: connection,
		Options:    append(options, providers.PasswordOptions(longestPassword)...),
		Outputs: []providers.Output{
			{Name: "username", Help: "Name of the user."},
			{Name: "password", Help: "Its password.", Secret: true},
			{Name: "host", Help: "Host for clients."},
			{Name: "port", Help: "Port for clients, of AMQP."},
			{Name: "vhost", Help: "The first virtual host of its permissions."},
			{Name: "url", Help: "All of it as an amqp:// or amqps:// URL.", Secret: true},
		},
		Rotates:      true,
		MaxLoginName: longestName,
	}
}
