package awsiam

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"broker/providers"
	"broker/providers/awsclient"
)

// CheckOptions looks whether groups and policies exist and whether the root account may give and take them. What it may
// not look at it does not complain about.
func (b *backend) CheckOptions(ctx context.Context, options providers.Options) ([]providers.FieldError, error) {
	ctx, cancel := b.bound(ctx)
	defer cancel()
	caller, err := b.Prove(ctx)
	if err != nil {
		return nil, err
	}
	c := optionsCheck{backend: b, account: caller.Account}
	for _, group := range unique(options.List(optionGroups)) {
		if err := c.group(ctx, group); err != nil {
			return nil, err
		}
	}
	for _, policy := range unique(options.List(optionPolicies)) {
		if err := c.policy(ctx, optionPolicies, policy); err != nil {
			return nil, err
		}
	}
	if boundary := options.String(optionBoundary); boundary != "" {
		if err := c.exists(ctx, optionBoundary, boundary); err != nil {
			return nil, err
		}
	}
	return c.problems, nil
}

type optionsCheck struct {
	*backend
	account  string
	problems []providers.FieldError
}

func (c *optionsCheck) wrong(field, format string, args ...any) {
	c.problems = append(c.problems, providers.FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
}

// here refuses an ARN of another partition or account. AWS's own policies are everywhere.
func (c *optionsCheck) here(field, text string) bool {
	arn, err := awsclient.ParseARN(text)
	switch {
	case err != nil:
		return true // a name
	case arn.Partition != c.Settings.Partition:
		c.wrong(field, "%s is of partition %s, and the connection's region of %s", text, arn.Partition, c.Settings.Partition)
		return false
	case arn.Account != "aws" && arn.Account != c.account:
		c.wrong(field, "%s is of account %s, and the connection leads to %s", text, arn.Account, c.account)
		return false
	}
	return true
}

func (c *optionsCheck) group(ctx context.Context, group string) error {
	groupName, err := groupNameOf(group)
	if err != nil || !c.here(optionGroups, group) {
		return nil //nolint:nilerr // said when the options were validated
	}
	_, err = c.IAM.GetGroup(ctx, &iam.GetGroupInput{GroupName: &groupName, MaxItems: aws.Int32(1)})
	switch {
	case awsclient.Absent(err):
		c.wrong(optionGroups, "there is no group %q in the account", groupName)
		return nil
	case err != nil && !awsclient.Denied(err):
		return awsclient.Classify(err, "looking up group "+groupName)
	}
	missing, err := c.probe(ctx, map[string]probe{
		"iam:AddUserToGroup": func(ctx context.Context, client *iam.Client, user *string) error {
			_, err := client.AddUserToGroup(ctx, &iam.AddUserToGroupInput{UserName: user, GroupName: &groupName})
			return err
		},
		"iam:RemoveUserFromGroup": func(ctx context.Context, client *iam.Client, user *string) error {
			_, err := client.RemoveUserFromGroup(ctx, &iam.RemoveUserFromGroupInput{UserName: user, GroupName: &groupName})
			return err
		},
	})
	for _, action := range missing {
		c.wrong(optionGroups, "the root account may not do %s with group %q", action, groupName)
	}
	return err
}

func (c *optionsCheck) policy(ctx context.Context, field, policy string) error {
	before := len(c.problems)
	if err := c.exists(ctx, field, policy); err != nil || len(c.problems) > before {
		return err
	}
	missing, err := c.probe(ctx, map[string]probe{
		"iam:AttachUserPolicy": func(ctx context.Context, client *iam.Client, user *string) error {
			_, err := client.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: user, PolicyArn: &policy})
			return err
		},
		"iam:DetachUserPolicy": func(ctx context.Context, client *iam.Client, user *string) error {
			_, err := client.DetachUserPolicy(ctx, &iam.DetachUserPolicyInput{UserName: user, PolicyArn: &policy})
			return err
		},
	})
	for _, action := range missing {
		c.wrong(field, "the root account may not do %s with %s", action, policy)
	}
	return err
}

func (c *optionsCheck) exists(ctx context.Context, field, policy string) error {
	if !c.here(field, policy) {
		return nil
	}
	_, err := c.IAM.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: &policy})
	switch {
	case awsclient.Absent(err):
		c.wrong(field, "there is no policy %s", policy)
	case err != nil && !awsclient.Denied(err):
		return awsclient.Classify(err, "looking up policy "+policy)
	}
	return nil
}
