package webhook

import (
	"time"

	"broker/providers"
)

// Names of connection fields.
const (
	fieldURL         = "url"
	fieldSecret      = "secret"
	fieldTimeout     = "timeout"
	fieldMaxRequests = "max_requests"
)

// optionServiceOptions is the name of the option that the service reads.
const optionServiceOptions = "service_options"

// Names of outputs.
const (
	outputUsername = "username"
	outputPassword = "password"
	outputURL      = "url"
	outputValues   = "values"
)

const (
	defaultTimeout     = 10 * time.Second
	defaultMaxRequests = 8

	// minSecret is the shortest secret, in bytes.
	minSecret = 32

	maxLoginName = 63
)

// Describe returns the description of the provider "webhook".
func (Provider) Describe() providers.Description {
	connection := []providers.Field{
		{Name: fieldURL, Type: providers.TypeString, Required: true, Locates: true, Example: "https://logins.internal/broker",
			Help: "Where the service takes calls; the operation is appended to the path. https, or http on loopback."},
		{Name: fieldSecret, Type: providers.TypeString, Required: true, Secret: true,
			Help: "Key that signs every call, known to the service: 32 random characters or more."},
		{Name: fieldTimeout, Type: providers.TypeDuration, Default: defaultTimeout.String(),
			Help: "How long the answer to one call may take."},
		{Name: fieldMaxRequests, Type: providers.TypeInteger, Default: int64(defaultMaxRequests), Min: providers.Limit(1), Max: providers.Limit(100),
			Help: "How many calls a broker node makes at once."},
	}
	for _, field := range providers.TLSFields() {
		if field.Name == providers.FieldTLS {
			field.Enum = []string{providers.TLSVerify, providers.TLSInsecure}
			field.Help = "How far the service is believed: verify checks its certificate, insecure believes whoever answers."
		}
		connection = append(connection, field)
	}
	return providers.Description{
		Name:       "webhook",
		Title:      "Webhook",
		Summary:    "Logins that a service of your own makes, by signed calls.",
		Connection: connection,
		Options: []providers.Field{
			providers.LoginNameOption(),
			{Name: optionServiceOptions, Type: providers.TypeText, Statements: true, Example: `{"role": "reader"}`,
				Help: "JSON object that the service is given with each call about the login. What it means is the service's to say."},
		},
		Outputs: []providers.Output{
			{Name: outputUsername, Help: "Name of the login."},
			{Name: outputPassword, Help: "What the service answered as password; empty when it has none.", Secret: true},
			{Name: outputURL, Help: "What the service answered as url; empty when it has none.", Secret: true},
			{Name: outputValues, Help: "Everything that the service answered, as a JSON object of strings.", Secret: true},
		},
		MaxLoginName: maxLoginName,
	}
}
