package awssts

import (
	"time"

	"broker/providers"
	"broker/providers/awsclient"
)

// Names of options.
const (
	optionRole       = "role_arn"
	optionExternalID = "external_id"
	optionPolicy     = "session_policy"
	optionPolicies   = "policy_arns"
	optionTags       = "tags"
	optionRevocation = "revocation"
)

// The values of the option "revocation".
const (
	revocationWait = "wait"
	revocationDeny = "deny"
)

const (
	maxSessionName = 64
	shortest       = 15 * time.Minute // that AWS makes a session for
	longest        = 12 * time.Hour
)

// Describe returns the description of the provider "aws-sts".
func (Provider) Describe() providers.Description {
	return providers.Description{
		Name:       "aws-sts",
		Title:      "AWS STS",
		Summary:    "Temporary credentials of a role at AWS, which end by themselves and leave nothing behind.",
		Connection: awsclient.Fields(),
		Options: []providers.Field{
			providers.LoginNameOption(),
			{Name: optionRole, Type: providers.TypeString, Required: true, Example: "arn:aws:iam::123456789012:role/reader",
				Help: "Role that is assumed for each lease. Its trust policy has to name the connection's identity."},
			{Name: optionExternalID, Type: providers.TypeString,
				Help: "External id that the role's trust policy asks for."},
			{Name: optionPolicy, Type: providers.TypeText, Statements: true, Example: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::reports/*"}]}`,
				Help: "Policy document (JSON) that limits what the role may do in this session."},
			{Name: optionPolicies, Type: providers.TypeList, Example: "arn:aws:iam::aws:policy/ReadOnlyAccess",
				Help: "ARNs of managed policies that limit the session; with session_policy too, what either allows is allowed."},
			{Name: optionTags, Type: providers.TypeList, Example: "team=payments",
				Help: "Session tags as key=value. The connection's identity needs sts:TagSession for the role."},
			{Name: optionRevocation, Type: providers.TypeString, Enum: []string{revocationWait, revocationDeny}, Default: revocationWait,
				Help: "What revoking before the end does, since AWS cannot end one session: wait keeps the lease revoking until its end, while the session goes on; deny denies the session everything, by an inline policy of the role, for which the root account needs iam:PutRolePolicy."},
		},
		Outputs: []providers.Output{
			{Name: "username", Help: "Name of the session, as the trail of AWS shows it."},
			{Name: "access_key_id", Help: "Id of the temporary access key."},
			{Name: "secret_access_key", Help: "Secret of the key.", Secret: true},
			{Name: "session_token", Help: "Token that goes with the key.", Secret: true},
			{Name: "region", Help: "Region of the connection."},
		},
		NativeExpiry: true,
		Fixed:        true,
		Rotates:      true,
		MaxLoginName: maxSessionName,
	}
}

// Warnings says what is unwise in the settings.
func (Provider) Warnings(s providers.Settings) []string { return awsclient.Warnings(s) }
