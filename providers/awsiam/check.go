package awsiam

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"broker/providers"
	"broker/providers/awsclient"
)

// probe asks for something that can come to nothing, since there is no user of that name. IAM says first whether it
// would be allowed.
type probe func(ctx context.Context, client *iam.Client, user *string) error

// noKey is the id of no key.
const noKey = "AKIA0000000000000000"

// probes are for the actions that every lease needs, at its end first of all. Making a user cannot be probed without
// making one.
var probes = map[string]probe{
	"iam:GetUser": func(ctx context.Context, c *iam.Client, user *string) error {
		_, err := c.GetUser(ctx, &iam.GetUserInput{UserName: user})
		return err
	},
	"iam:DeleteUser": func(ctx context.Context, c *iam.Client, user *string) error {
		_, err := c.DeleteUser(ctx, &iam.DeleteUserInput{UserName: user})
		return err
	},
	"iam:CreateAccessKey": func(ctx context.Context, c *iam.Client, user *string) error {
		_, err := c.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: user})
		return err
	},
	"iam:ListAccessKeys": func(ctx context.Context, c *iam.Client, user *string) error {
		_, err := c.ListAccessKeys(ctx, &iam.ListAccessKeysInput{UserName: user})
		return err
	},
	"iam:UpdateAccessKey": func(ctx context.Context, c *iam.Client, user *string) error {
		_, err := c.UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{UserName: user, AccessKeyId: aws.String(noKey), Status: types.StatusTypeInactive})
		return err
	},
	"iam:DeleteAccessKey": func(ctx context.Context, c *iam.Client, user *string) error {
		_, err := c.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: user, AccessKeyId: aws.String(noKey)})
		return err
	},
	"iam:PutUserPolicy": func(ctx context.Context, c *iam.Client, user *string) error {
		_, err := c.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: user, PolicyName: aws.String(inlineName), PolicyDocument: aws.String(denyAll)})
		return err
	},
	"iam:ListUserPolicies": func(ctx context.Context, c *iam.Client, user *string) error {
		_, err := c.ListUserPolicies(ctx, &iam.ListUserPoliciesInput{UserName: user})
		return err
	},
	"iam:DeleteUserPolicy": func(ctx context.Context, c *iam.Client, user *string) error {
		_, err := c.DeleteUserPolicy(ctx, &iam.DeleteUserPolicyInput{UserName: user, PolicyName: aws.String(inlineName)})
		return err
	},
	"iam:ListAttachedUserPolicies": func(ctx context.Context, c *iam.Client, user *string) error {
		_, err := c.ListAttachedUserPolicies(ctx, &iam.ListAttachedUserPoliciesInput{UserName: user})
		return err
	},
	"iam:ListGroupsForUser": func(ctx context.Context, c *iam.Client, user *string) error {
		_, err := c.ListGroupsForUser(ctx, &iam.ListGroupsForUserInput{UserName: user})
		return err
	},
	"iam:DeleteLoginProfile": func(ctx context.Context, c *iam.Client, user *string) error {
		_, err := c.DeleteLoginProfile(ctx, &iam.DeleteLoginProfileInput{UserName: user})
		return err
	},
	"iam:ListMFADevices": func(ctx context.Context, c *iam.Client, user *string) error {
		_, err := c.ListMFADevices(ctx, &iam.ListMFADevicesInput{UserName: user})
		return err
	},
	"iam:ListSSHPublicKeys": func(ctx context.Context, c *iam.Client, user *string) error {
		_, err := c.ListSSHPublicKeys(ctx, &iam.ListSSHPublicKeysInput{UserName: user})
		return err
	},
	"iam:ListServiceSpecificCredentials": func(ctx context.Context, c *iam.Client, user *string) error {
		_, err := c.ListServiceSpecificCredentials(ctx, &iam.ListServiceSpecificCredentialsInput{UserName: user})
		return err
	},
	"iam:ListSigningCertificates": func(ctx context.Context, c *iam.Client, user *string) error {
		_, err := c.ListSigningCertificates(ctx, &iam.ListSigningCertificatesInput{UserName: user})
		return err
	},
}

// Check asks who the root account is, lists users, and probes the other actions on a user that does not exist.
func (b *backend) Check(ctx context.Context) (providers.SystemID, error) {
	ctx, cancel := b.bound(ctx)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return "", &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: fmt.Errorf("calling AWS: %w", err)}
	}
	caller, err := b.Fresh(ctx)
	if err != nil {
		return "", err
	}
	if _, err := b.IAM.ListUsers(ctx, &iam.ListUsersInput{MaxItems: aws.Int32(1)}); err != nil {
		return "", awsclient.Classify(err, "listing users")
	}
	if b.env.ReadOnly {
		return caller.SystemID(), nil // a probe is a change, had it an object
	}
	missing, err := b.probe(ctx, probes)
	if err != nil {
		return "", err
	}
	if len(missing) > 0 {
		return "", &providers.Error{Kind: providers.KindRejected,
			Hint: fmt.Sprintf(`Allow to it: {"Effect": "Allow", "Action": ["%s"], "Resource": "arn:%s:iam::%s:user/*%s*"}`, strings.Join(missing, `", "`), b.Settings.Partition, caller.Account, providers.DefaultPrefix),
			Err:  fmt.Errorf("the root account %s may not do what leases need: %s", caller.ARN, strings.Join(missing, ", "))}
	}
	return caller.SystemID(), nil
}

// probe returns the actions that the root account may not do.
func (b *backend) probe(ctx context.Context, probes map[string]probe) ([]string, error) {
	user := aws.String(b.env.Prefix + "no_user_" + strings.ToLower(rand.Text())[:16])
	var mu sync.Mutex
	var missing []string
	var failed []error
	var going sync.WaitGroup
	for action, probe := range probes {
		leave, err := b.lane(ctx)
		if err != nil {
			failed = append(failed, err)
			break
		}
		going.Go(func() {
			defer leave()
			err := probe(ctx, b.IAM, user)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
			case awsclient.Denied(err):
				missing = append(missing, action)
			case ctx.Err() != nil || awsclient.Classify(err, "").Kind == providers.KindUnavailable:
				failed = append(failed, awsclient.Classify(err, "asking whether "+action+" is allowed"))
			} // every other answer says that it would be
		})
	}
	going.Wait()
	slices.Sort(missing)
	return missing, errors.Join(failed...)
}
