package awsiam

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"broker/providers"
	"broker/providers/awsclient"
)

const (
	maxInline = 2048 // characters of a user's inline policies together, without white space
	maxTags   = 48   // of 50, two are ours
)

var (
	pathForm  = regexp.MustCompile(`^/([\x21-\x7e]+/)?$`)
	groupName = regexp.MustCompile(`^[\w+=,.@-]{1,128}$`)
	policyARN = regexp.MustCompile(`^arn:aws[a-z-]*:iam::(aws|\d{12}):policy/[\x21-\x7e]+$`)
)

// ValidateOptions checks names, ARNs, the document and tags. A secret needs groups or policies: a user without could do
// nothing.
func (Provider) ValidateOptions(options providers.Options) []providers.FieldError {
	var problems []providers.FieldError
	wrong := func(field, format string, args ...any) {
		problems = append(problems, providers.FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
	}
	groups, policies := options.List(optionGroups), options.List(optionPolicies)
	if len(groups) == 0 && len(policies) == 0 && strings.TrimSpace(options.String(optionInline)) == "" {
		wrong(optionGroups, "name at least one group (the normal way), or give %s or %s: a user without could do nothing", optionPolicies, optionInline)
	}
	for _, group := range groups {
		if _, err := groupNameOf(group); err != nil {
			wrong(optionGroups, "%v", err)
		}
	}
	for _, policy := range policies {
		if !policyARN.MatchString(policy) {
			wrong(optionPolicies, "%q is no ARN of a managed policy, such as arn:aws:iam::aws:policy/ReadOnlyAccess", policy)
		}
	}
	if boundary := options.String(optionBoundary); boundary != "" && !policyARN.MatchString(boundary) {
		wrong(optionBoundary, "%q is no ARN of a managed policy", boundary)
	}
	if path := options.String(optionPath); path != "" && (len(path) > 512 || !pathForm.MatchString(path)) {
		wrong(optionPath, "%q is no path, which begins and ends with a slash", path)
	}
	if message := documentProblem(options.String(optionInline)); message != "" {
		wrong(optionInline, "%s", message)
	}
	for _, message := range awsclient.TagProblems(options.List(optionTags), maxTags, tagCluster, tagLease) {
		wrong(optionTags, "%s", message)
	}
	return problems
}

// groupNameOf returns the name of a group that is given by name or ARN.
func groupNameOf(group string) (string, error) {
	name := group
	if strings.HasPrefix(group, "arn:") {
		arn, err := awsclient.ParseARN(group)
		if err != nil || arn.Service != "iam" || !strings.HasPrefix(arn.Resource, "group/") {
			return "", fmt.Errorf("%q is no ARN of a group", group)
		}
		name = arn.Name()
	}
	if !groupName.MatchString(name) {
		return "", fmt.Errorf("%q is no name of a group", group)
	}
	return name, nil
}

func documentProblem(document string) string {
	if strings.TrimSpace(document) == "" {
		return ""
	}
	var policy struct{ Statement json.RawMessage }
	if err := json.Unmarshal([]byte(document), &policy); err != nil {
		return fmt.Sprintf("is no JSON: %v", err)
	}
	if len(policy.Statement) == 0 {
		return "has no Statement"
	}
	dense := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, document)
	if n := utf8.RuneCountInString(dense); n > maxInline {
		return fmt.Sprintf("has %d characters without white space, and a user takes %d: make a managed policy of it", n, maxInline)
	}
	return ""
}

// tagsOf returns the tags of a user.
func tagsOf(options providers.Options, clusterID, leaseID string) []types.Tag {
	tags := []types.Tag{{Key: aws.String(tagCluster), Value: aws.String(clusterID)}, {Key: aws.String(tagLease), Value: aws.String(leaseID)}}
	for _, tag := range options.List(optionTags) {
		key, value, _ := strings.Cut(tag, "=")
		tags = append(tags, types.Tag{Key: aws.String(key), Value: aws.String(value)})
	}
	return tags
}

func pathOf(options providers.Options) string {
	if path := options.String(optionPath); path != "" {
		return path
	}
	return "/"
}
