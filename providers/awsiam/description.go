package awsiam

import (
	"broker/providers"
	"broker/providers/awsclient"
)

// Names of options.
const (
	optionPath     = "iam_path"
	optionGroups   = "groups"
	optionPolicies = "policy_arns"
	optionInline   = "inline_policy"
	optionBoundary = "permission_boundary_arn"
	optionTags     = "tags"
	optionWait     = "wait_ready"
)

// maxUserName is the longest name of a user that IAM takes.
const maxUserName = 64

// Tags by which a user says whose it is.
const (
	tagCluster = "broker-cluster"
	tagLease   = "broker-lease"
)

// Describe returns the description of the provider "aws-iam".
func (Provider) Describe() providers.Description {
	return providers.Description{
		Name:       "aws-iam",
		Title:      "AWS IAM",
		Summary:    "IAM users with an access key, in the groups and with the policies you name.",
		Connection: awsclient.Fields(),
		Options: []providers.Field{
			providers.LoginNameOption(),
			{Name: optionGroups, Type: providers.TypeList, Example: "readers",
				Help: "Groups, by name or ARN, that the user becomes a member of: the normal way to give it permissions."},
			{Name: optionPolicies, Type: providers.TypeList, Statements: true, Example: "arn:aws:iam::aws:policy/ReadOnlyAccess",
				Help: "ARNs of managed policies that are attached to the user."},
			{Name: optionInline, Type: providers.TypeText, Statements: true, Example: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::reports/*"}]}`,
				Help: "Policy document (JSON) that is put into the user itself, of at most 2048 characters without white space."},
			{Name: optionBoundary, Type: providers.TypeString, Example: "arn:aws:iam::123456789012:policy/leased",
				Help: "ARN of a managed policy that limits what the user may do, whatever else it is given."},
			{Name: optionPath, Type: providers.TypeString, Default: "/", Example: "/broker/",
				Help: "Path of the user, which stands in its ARN."},
			{Name: optionTags, Type: providers.TypeList, Example: "team=payments",
				Help: "Tags as key=value, besides " + tagCluster + " and " + tagLease + ", which the broker sets."},
			{Name: optionWait, Type: providers.TypeBoolean, Default: true,
				Help: "Whether a lease is answered only when AWS accepts its key, which takes some seconds; without it the first calls with the key may be refused."},
		},
		Outputs: []providers.Output{
			{Name: "username", Help: "Name of the user."},
			{Name: "access_key_id", Help: "Id of its access key."},
			{Name: "secret_access_key", Help: "Secret of the key.", Secret: true},
			{Name: "region", Help: "Region of the connection."},
		},
		Rotates:      true,
		MaxLoginName: maxUserName,
	}
}

// Warnings says what is unwise in the settings.
func (Provider) Warnings(s providers.Settings) []string { return awsclient.Warnings(s) }
