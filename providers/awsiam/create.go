package awsiam

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/smithy-go"

	"broker/providers"
	"broker/providers/awsclient"
)

// inlineName is the name of the inline policy that a user is given, and that a revoke replaces.
const inlineName = "broker"

// spare is what is left of the time to create when waiting for the key ends, so that the lease can be recorded.
const spare = 2 * time.Second

// Create makes the user with its path, tags and boundary, then gives it groups and policies, then makes its key.
func (b *backend) Create(ctx context.Context, grant providers.Grant) (providers.Values, error) {
	ctx, cancel := b.bound(ctx)
	defer cancel()
	if err := b.checkName(grant.Name); err != nil {
		return nil, err
	}
	leave, err := b.lane(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if _, err := b.Prove(ctx); err != nil {
		return nil, err
	}
	if err := b.inTime(grant); err != nil {
		err.NotSent = true
		return nil, err
	}
	calls := awsclient.Until(ctx, grant.Deadline)
	if err := b.createUser(calls, grant); err != nil {
		return nil, err
	}
	if err := b.equip(calls, grant); err != nil {
		return nil, err
	}
	if err := b.inTime(grant); err != nil {
		return nil, err
	}
	var made *iam.CreateAccessKeyOutput
	err = b.known(calls, grant, func() (err error) {
		made, err = b.IAM.CreateAccessKey(calls, &iam.CreateAccessKeyInput{UserName: name(grant.Name)}, awsclient.Once)
		return err
	})
	if err != nil {
		return nil, awsclient.Classify(err, fmt.Sprintf("making an access key for user %q", grant.Name))
	}
	id, secret := aws.ToString(made.AccessKey.AccessKeyId), providers.NewSecret(aws.ToString(made.AccessKey.SecretAccessKey))
	providers.Conceal(ctx, secret)
	if grant.Options.Boolean(optionWait) {
		// A key that is not known everywhere in time is a good key nevertheless.
		_ = b.WaitUsable(ctx, grant.Deadline.Sub(b.Now())-spare, id, secret)
	}
	return providers.Values{
		"username":          providers.NewSecret(string(grant.Name)),
		"access_key_id":     providers.NewSecret(id),
		"secret_access_key": secret,
		"region":            providers.NewSecret(b.Settings.Region),
	}, nil
}

// inTime refuses to go on past the deadline, by AWS's clock and by ours. Each call is refused by AWS itself as well.
func (b *backend) inTime(grant providers.Grant) *providers.Error {
	if b.Now().Before(grant.Deadline) && time.Now().Before(grant.Deadline) {
		return nil
	}
	return providers.Errorf(providers.KindRejected, "making user %q: the time to make it in has passed", grant.Name)
}

func (b *backend) createUser(ctx context.Context, grant providers.Grant) error {
	input := &iam.CreateUserInput{UserName: name(grant.Name), Path: aws.String(pathOf(grant.Options)), Tags: tagsOf(grant.Options, b.env.ClusterID, grant.LeaseID)}
	if boundary := grant.Options.String(optionBoundary); boundary != "" {
		input.PermissionsBoundary = &boundary
	}
	_, err := b.IAM.CreateUser(ctx, input, awsclient.Once)
	if err == nil {
		b.ours.Store(grant.Name, true)
		return nil
	}
	e := awsclient.Classify(err, fmt.Sprintf("making user %q", grant.Name))
	// Once means that no earlier try of this call can have been carried out.
	e.NotSent = awsclient.Unsent(err) || awsclient.Throttled(err)
	return e
}

// equip gives the user what the options say.
func (b *backend) equip(ctx context.Context, grant providers.Grant) error {
	for _, group := range unique(grant.Options.List(optionGroups)) {
		groupName, err := groupNameOf(group)
		if err != nil {
			return &providers.Error{Kind: providers.KindRejected, Err: err}
		}
		err = b.known(ctx, grant, func() error {
			_, err := b.IAM.AddUserToGroup(ctx, &iam.AddUserToGroupInput{UserName: name(grant.Name), GroupName: &groupName})
			return err
		})
		if err != nil {
			return awsclient.Classify(err, fmt.Sprintf("adding user %q to group %q", grant.Name, groupName))
		}
	}
	for _, policy := range unique(grant.Options.List(optionPolicies)) {
		err := b.known(ctx, grant, func() error {
			_, err := b.IAM.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: name(grant.Name), PolicyArn: &policy})
			return err
		})
		if err != nil {
			return awsclient.Classify(err, fmt.Sprintf("attaching policy %s to user %q", policy, grant.Name))
		}
	}
	document := grant.Options.String(optionInline)
	if strings.TrimSpace(document) == "" {
		return nil
	}
	err := b.known(ctx, grant, func() error {
		_, err := b.IAM.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: name(grant.Name), PolicyName: aws.String(inlineName), PolicyDocument: &document})
		return err
	})
	if err != nil {
		return awsclient.Classify(err, fmt.Sprintf("putting the inline policy into user %q", grant.Name))
	}
	return nil
}

// known repeats a step while IAM does not know yet the user that it has just made.
func (b *backend) known(ctx context.Context, grant providers.Grant, step func() error) error {
	for pause := 100 * time.Millisecond; ; pause *= 2 {
		err := step()
		if !lacksUser(err, grant.Name) || b.inTime(grant) != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// lacksUser reports whether it is the user that does not exist, and not what it was to be given.
func lacksUser(err error, user providers.LoginName) bool {
	var api smithy.APIError
	return awsclient.Absent(err) && errors.As(err, &api) && strings.Contains(api.ErrorMessage(), string(user))
}

func name(login providers.LoginName) *string { return aws.String(string(login)) }

func unique(texts []string) []string {
	ordered := slices.Sorted(slices.Values(texts))
	return slices.Compact(ordered)
}
