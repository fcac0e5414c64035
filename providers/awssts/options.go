package awssts

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"broker/providers"
	"broker/providers/awsclient"
)

var (
	roleARN   = regexp.MustCompile(`^arn:aws[a-z-]*:iam::\d{12}:role/[\x21-\x7e]+$`)
	policyARN = regexp.MustCompile(`^arn:aws[a-z-]*:iam::(aws|\d{12}):policy/[\x21-\x7e]+$`)
)

// What AWS takes for one session.
const (
	maxPolicies = 10
	maxTags     = 50
)

// ValidateOptions checks ARNs, the document and tags.
func (Provider) ValidateOptions(options providers.Options) []providers.FieldError {
	var problems []providers.FieldError
	wrong := func(field, format string, args ...any) {
		problems = append(problems, providers.FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
	}
	if role := options.String(optionRole); role != "" && !roleARN.MatchString(role) {
		wrong(optionRole, "%q is no ARN of a role, such as arn:aws:iam::123456789012:role/reader", role)
	}
	policies := options.List(optionPolicies)
	if len(policies) > maxPolicies {
		wrong(optionPolicies, "are %d, and AWS takes %d", len(policies), maxPolicies)
	}
	for _, policy := range policies {
		if !policyARN.MatchString(policy) {
			wrong(optionPolicies, "%q is no ARN of a managed policy, such as arn:aws:iam::aws:policy/ReadOnlyAccess", policy)
		}
	}
	if document := strings.TrimSpace(options.String(optionPolicy)); document != "" {
		statements, err := statementsOf(document)
		if err != nil {
			wrong(optionPolicy, "%v", err)
		}
		all := make([]any, len(statements))
		for i := range statements {
			all[i] = statements[i]
		}
		if text, err := encode(all); err == nil && len(text) > maxDocument-endLength {
			wrong(optionPolicy, "has %d characters, and %d fit beside what the broker adds: make a managed policy of it", len(text), maxDocument-endLength)
		}
	}
	for _, message := range awsclient.TagProblems(options.List(optionTags), maxTags) {
		wrong(optionTags, "%s", message)
	}
	return problems
}

func tagsOf(options providers.Options) []types.Tag {
	var tags []types.Tag
	for _, tag := range options.List(optionTags) {
		key, value, _ := strings.Cut(tag, "=")
		tags = append(tags, types.Tag{Key: aws.String(key), Value: aws.String(value)})
	}
	return tags
}

func policiesOf(options providers.Options) []types.PolicyDescriptorType {
	var policies []types.PolicyDescriptorType
	for _, arn := range options.List(optionPolicies) {
		policies = append(policies, types.PolicyDescriptorType{Arn: aws.String(arn)})
	}
	return policies
}
