package awssts

import (
	"fmt"
	"strings"
	"time"

	"broker/providers"
	"broker/providers/awsclient"
)

// Preview shows the call as a command of AWS's own client.
func (Provider) Preview(_ providers.Settings, options providers.Options, name providers.LoginName, expiresAt time.Time) []string {
	command := fmt.Sprintf("aws sts assume-role --role-arn %s --role-session-name %s --duration-seconds %d", awsclient.Quote(options.String(optionRole)), name, duration(time.Until(expiresAt)))
	if policy, err := sessionPolicy(options, expiresAt); err == nil {
		command += " --policy " + awsclient.Quote(policy)
	}
	for i, arn := range options.List(optionPolicies) {
		if i == 0 {
			command += " --policy-arns"
		}
		command += " " + awsclient.Quote("arn="+arn)
	}
	for i, tag := range options.List(optionTags) {
		if i == 0 {
			command += " --tags"
		}
		key, value, _ := strings.Cut(tag, "=")
		command += " " + awsclient.Quote("Key="+key+",Value="+value)
	}
	if id := options.String(optionExternalID); id != "" {
		command += " --external-id " + awsclient.Quote(id)
	}
	return []string{command}
}
