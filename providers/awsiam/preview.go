package awsiam

import (
	"fmt"
	"strings"
	"time"

	"broker/providers"
	"broker/providers/awsclient"
)

// Preview shows the calls as commands of AWS's own client.
func (Provider) Preview(_ providers.Settings, options providers.Options, name providers.LoginName, _ time.Time) []string {
	create := fmt.Sprintf("aws iam create-user --user-name %s --path %s --tags Key=%s,Value={{cluster}} Key=%s,Value={{lease}}", name, awsclient.Quote(pathOf(options)), tagCluster, tagLease)
	for _, tag := range options.List(optionTags) {
		key, value, _ := strings.Cut(tag, "=")
		create += " " + awsclient.Quote("Key="+key+",Value="+value)
	}
	if boundary := options.String(optionBoundary); boundary != "" {
		create += " --permissions-boundary " + awsclient.Quote(boundary)
	}
	steps := []string{create}
	for _, group := range unique(options.List(optionGroups)) {
		if groupName, err := groupNameOf(group); err == nil {
			steps = append(steps, fmt.Sprintf("aws iam add-user-to-group --user-name %s --group-name %s", name, awsclient.Quote(groupName)))
		}
	}
	for _, policy := range unique(options.List(optionPolicies)) {
		steps = append(steps, fmt.Sprintf("aws iam attach-user-policy --user-name %s --policy-arn %s", name, awsclient.Quote(policy)))
	}
	if document := strings.TrimSpace(options.String(optionInline)); document != "" {
		oneLine := strings.Join(strings.Fields(document), " ")
		steps = append(steps, fmt.Sprintf("aws iam put-user-policy --user-name %s --policy-name %s --policy-document %s", name, inlineName, awsclient.Quote(oneLine)))
	}
	return append(steps, fmt.Sprintf("aws iam create-access-key --user-name %s", name))
}
