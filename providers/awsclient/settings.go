package awsclient

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"broker/providers"
)

// Names of connection fields.
const (
	FieldCredentials     = "credentials"
	FieldAccessKeyID     = "access_key_id"
	FieldSecretAccessKey = "secret_access_key"
	FieldSessionToken    = "session_token"
	FieldRegion          = "region"
	FieldRoleARN         = "role_arn"
	FieldExternalID      = "external_id"
	FieldEndpoint        = "endpoint"
	FieldSTSEndpoint     = "sts_endpoint"
)

// The values of the field "credentials".
const (
	credentialsKeys    = "keys"
	credentialsDefault = "default"
)

// Fields describes how a connection reaches AWS, the same for every provider.
func Fields() []providers.Field {
	return []providers.Field{
		{Name: FieldRegion, Type: providers.TypeString, Default: "us-east-1", Locates: true, Example: "eu-central-1",
			Help: "Region. It decides the partition too: us-gov-west-1 is AWS GovCloud (US), cn-north-1 is AWS China. IAM itself has no regions."},
		{Name: FieldCredentials, Type: providers.TypeString, Enum: []string{credentialsKeys, credentialsDefault}, Default: credentialsKeys,
			Help: "Whose credentials the broker signs with: keys are those given below; default are those of the machine that brokerd runs on (environment, web identity of a pod, container, instance role). Whoever may create connections can then use the machine's role."},
		{Name: FieldAccessKeyID, Type: providers.TypeString, Example: "AKIAIOSFODNN7EXAMPLE",
			Help: "Access key of the root account."},
		{Name: FieldSecretAccessKey, Type: providers.TypeString, Secret: true,
			Help: "Secret of that key."},
		{Name: FieldSessionToken, Type: providers.TypeText, Secret: true,
			Help: "Session token, when the key is a temporary one."},
		{Name: FieldRoleARN, Type: providers.TypeString, Locates: true, Example: "arn:aws:iam::123456789012:role/broker",
			Help: "Role that the broker assumes with its credentials and works as, in the same account or another."},
		{Name: FieldExternalID, Type: providers.TypeString,
			Help: "External id that the role's trust policy asks for."},
		{Name: FieldEndpoint, Type: providers.TypeString, Locates: true, Example: "https://vpce-0123-abcd.iam.us-east-1.vpce.amazonaws.com",
			Help: "URL to send calls to in place of AWS's own: a VPC endpoint, or a server that answers as AWS does."},
		{Name: FieldSTSEndpoint, Type: providers.TypeString, Locates: true, Example: "https://vpce-0123-abcd.sts.us-east-1.vpce.amazonaws.com",
			Help: "The same for calls of STS only. Without it they go to endpoint too."},
		{Name: providers.FieldTLSCA, Type: providers.TypeText,
			Help: "Certificates (PEM) that the endpoint's certificate is checked against. The system's are used when there are none."},
	}
}

// Settings are a connection's fields, read once.
type Settings struct {
	Region      string
	Partition   string // "aws", "aws-us-gov" or "aws-cn"
	credentials string
	key         accessKey
	roleARN     string
	externalID  string
	endpoint    string
	stsEndpoint string
	tls         *tls.Config
}

// accessKey is one credential of AWS.
type accessKey struct {
	id     string
	secret providers.Secret
	token  providers.Secret
}

var (
	regionName = regexp.MustCompile(`^[a-z]{2,4}(-[a-z]+)+-\d{1,2}$`)
	roleARN    = regexp.MustCompile(`^arn:aws[a-z-]*:iam::\d{12}:role/[\x21-\x7e]+$`)
	keyID      = regexp.MustCompile(`^\w{16,128}$`)
)

func readSettings(s providers.Settings) (Settings, error) {
	read := Settings{
		Region:      s.String(FieldRegion),
		credentials: s.String(FieldCredentials),
		key: accessKey{s.String(FieldAccessKeyID), providers.NewSecret(s.String(FieldSecretAccessKey)),
			providers.NewSecret(strings.TrimSpace(s.String(FieldSessionToken)))},
		roleARN:     s.String(FieldRoleARN),
		externalID:  s.String(FieldExternalID),
		endpoint:    s.String(FieldEndpoint),
		stsEndpoint: s.String(FieldSTSEndpoint),
	}
	if !regionName.MatchString(read.Region) {
		return Settings{}, fmt.Errorf("%s is no region such as us-east-1", FieldRegion)
	}
	read.Partition = PartitionOf(read.Region)
	hasKey := read.key.id != "" || !read.key.secret.IsZero() || !read.key.token.IsZero()
	switch {
	case read.credentials == credentialsDefault && hasKey:
		return Settings{}, fmt.Errorf("%s=%s takes no %s: leave the key out, or say %s=%s", FieldCredentials, credentialsDefault, FieldAccessKeyID, FieldCredentials, credentialsKeys)
	case read.credentials != credentialsDefault && (read.key.id == "" || read.key.secret.IsZero()):
		return Settings{}, fmt.Errorf("%s and %s are required, unless %s=%s", FieldAccessKeyID, FieldSecretAccessKey, FieldCredentials, credentialsDefault)
	case hasKey && !keyID.MatchString(read.key.id):
		// Not repeated: people mix the two up.
		return Settings{}, fmt.Errorf("%s is no id of a key, which looks like AKIAIOSFODNN7EXAMPLE", FieldAccessKeyID)
	case read.roleARN != "" && !roleARN.MatchString(read.roleARN):
		return Settings{}, fmt.Errorf("%s is no role such as arn:%s:iam::123456789012:role/broker", FieldRoleARN, read.Partition)
	case read.roleARN != "" && PartitionOfARN(read.roleARN) != read.Partition:
		return Settings{}, fmt.Errorf("%s is in partition %s, region %s is in %s", FieldRoleARN, PartitionOfARN(read.roleARN), read.Region, read.Partition)
	case read.externalID != "" && read.roleARN == "":
		return Settings{}, fmt.Errorf("%s is given for a %s only", FieldExternalID, FieldRoleARN)
	}
	for name, endpoint := range map[string]string{FieldEndpoint: read.endpoint, FieldSTSEndpoint: read.stsEndpoint} {
		if endpoint == "" {
			continue
		}
		if err := checkEndpoint(endpoint); err != nil {
			return Settings{}, fmt.Errorf("%s %w", name, err)
		}
	}
	if read.stsEndpoint == "" {
		read.stsEndpoint = read.endpoint
	}
	var err error
	// No name of a server: the hosts are several, and each proves its own.
	read.tls, err = providers.TLSConfig(s, "")
	return read, err
}

func checkEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return errors.New("is no URL such as https://iam.example.internal")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("has an account, a query or a fragment, and must not")
	}
	return nil
}

// Warnings says what is allowed but unwise in a connection's fields.
func Warnings(s providers.Settings) []string {
	var warnings []string
	for _, name := range []string{FieldEndpoint, FieldSTSEndpoint} {
		u, err := url.Parse(s.String(name))
		if err == nil && u.Scheme == "http" && !providers.IsLoopback(u.Hostname()) {
			warnings = append(warnings, fmt.Sprintf("%s is not encrypted: keys that are made cross the network to %s in clear; https:// is safe", name, u.Hostname()))
		}
	}
	if s.String(FieldCredentials) == credentialsDefault {
		warnings = append(warnings, fmt.Sprintf("%s=%s: the broker signs as the machine it runs on, so whoever may create connections and secrets can use whatever that identity may do; give it no more than the provider's page lists", FieldCredentials, credentialsDefault))
	}
	if strings.HasPrefix(s.String(FieldAccessKeyID), "ASIA") {
		warnings = append(warnings, "the access key is a temporary one: when it ends, leases can neither be issued nor revoked until the connection has another")
	}
	return warnings
}
