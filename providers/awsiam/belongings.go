package awsiam

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

// belongings removes one kind of what a user has. It may be repeated, and what is not there is fine.
type belongings func(ctx context.Context, client *iam.Client, user *string) error

// usual is what each user of ours has, the ways in first. rare is what it may have been given by others or by itself;
// IAM refuses to delete a user that has any of it, so it is looked for only then.
var (
	usual = []belongings{accessKeys, groups, attachedPolicies, inlinePolicies}
	rare  = []belongings{loginProfile, mfaDevices, sshKeys, serviceCredentials, certificates}
)

// paginator is a paginator of the SDK.
type paginator[P any] interface {
	HasMorePages() bool
	NextPage(ctx context.Context, optFns ...func(*iam.Options)) (P, error)
}

// everyOf reads all pages before the first thing is removed, which would move those that follow.
func everyOf[P, T any](ctx context.Context, pages paginator[P], items func(P) []T, what string, remove func(T) error) error {
	var found []T
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return step(err, "listing "+what)
		}
		found = append(found, items(page)...)
	}
	var failed []error
	for _, item := range found {
		failed = append(failed, step(remove(item), "removing "+what))
	}
	return errors.Join(failed...)
}

// accessKeys deletes the user's access keys. One that cannot be deleted is deactivated.
func accessKeys(ctx context.Context, client *iam.Client, user *string) error {
	return everyOf(ctx, iam.NewListAccessKeysPaginator(client, &iam.ListAccessKeysInput{UserName: user}),
		func(p *iam.ListAccessKeysOutput) []types.AccessKeyMetadata { return p.AccessKeyMetadata }, "access keys",
		func(key types.AccessKeyMetadata) error {
			_, err := client.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: user, AccessKeyId: key.AccessKeyId})
			if step(err, "") != nil {
				// Its own error tells no more than that of the deletion.
				_, _ = client.UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{UserName: user, AccessKeyId: key.AccessKeyId, Status: types.StatusTypeInactive})
			}
			return err
		})
}

func groups(ctx context.Context, client *iam.Client, user *string) error {
	return everyOf(ctx, iam.NewListGroupsForUserPaginator(client, &iam.ListGroupsForUserInput{UserName: user}),
		func(p *iam.ListGroupsForUserOutput) []types.Group { return p.Groups }, "memberships",
		func(group types.Group) error {
			_, err := client.RemoveUserFromGroup(ctx, &iam.RemoveUserFromGroupInput{UserName: user, GroupName: group.GroupName})
			return err
		})
}

func attachedPolicies(ctx context.Context, client *iam.Client, user *string) error {
	return everyOf(ctx, iam.NewListAttachedUserPoliciesPaginator(client, &iam.ListAttachedUserPoliciesInput{UserName: user}),
		func(p *iam.ListAttachedUserPoliciesOutput) []types.AttachedPolicy { return p.AttachedPolicies }, "attached policies",
		func(policy types.AttachedPolicy) error {
			_, err := client.DetachUserPolicy(ctx, &iam.DetachUserPolicyInput{UserName: user, PolicyArn: policy.PolicyArn})
			return err
		})
}

// inlinePolicies deletes the user's inline policies but the one that denies everything.
func inlinePolicies(ctx context.Context, client *iam.Client, user *string) error {
	return everyOf(ctx, iam.NewListUserPoliciesPaginator(client, &iam.ListUserPoliciesInput{UserName: user}),
		func(p *iam.ListUserPoliciesOutput) []string { return p.PolicyNames }, "inline policies",
		func(policy string) error {
			if policy == inlineName {
				return nil
			}
			_, err := client.DeleteUserPolicy(ctx, &iam.DeleteUserPolicyInput{UserName: user, PolicyName: &policy})
			return err
		})
}

// undeny deletes the policy that denies everything, when there is nothing left that it would hold back.
func undeny(ctx context.Context, client *iam.Client, user *string) error {
	_, err := client.DeleteUserPolicy(ctx, &iam.DeleteUserPolicyInput{UserName: user, PolicyName: aws.String(inlineName)})
	return step(err, "removing the policy that denies everything")
}

func loginProfile(ctx context.Context, client *iam.Client, user *string) error {
	_, err := client.DeleteLoginProfile(ctx, &iam.DeleteLoginProfileInput{UserName: user})
	return step(err, "removing the password")
}

func mfaDevices(ctx context.Context, client *iam.Client, user *string) error {
	return everyOf(ctx, iam.NewListMFADevicesPaginator(client, &iam.ListMFADevicesInput{UserName: user}),
		func(p *iam.ListMFADevicesOutput) []types.MFADevice { return p.MFADevices }, "MFA devices",
		func(device types.MFADevice) error {
			_, err := client.DeactivateMFADevice(ctx, &iam.DeactivateMFADeviceInput{UserName: user, SerialNumber: device.SerialNumber})
			if step(err, "") != nil {
				return err
			}
			if !strings.HasPrefix(aws.ToString(device.SerialNumber), "arn:") {
				return nil // a thing one can hold
			}
			_, err = client.DeleteVirtualMFADevice(ctx, &iam.DeleteVirtualMFADeviceInput{SerialNumber: device.SerialNumber})
			return err
		})
}

func sshKeys(ctx context.Context, client *iam.Client, user *string) error {
	return everyOf(ctx, iam.NewListSSHPublicKeysPaginator(client, &iam.ListSSHPublicKeysInput{UserName: user}),
		func(p *iam.ListSSHPublicKeysOutput) []types.SSHPublicKeyMetadata { return p.SSHPublicKeys }, "SSH keys",
		func(key types.SSHPublicKeyMetadata) error {
			_, err := client.DeleteSSHPublicKey(ctx, &iam.DeleteSSHPublicKeyInput{UserName: user, SSHPublicKeyId: key.SSHPublicKeyId})
			return err
		})
}

func serviceCredentials(ctx context.Context, client *iam.Client, user *string) error {
	var found []types.ServiceSpecificCredentialMetadata
	for input := (&iam.ListServiceSpecificCredentialsInput{UserName: user}); ; {
		page, err := client.ListServiceSpecificCredentials(ctx, input)
		if err != nil {
			return step(err, "listing service-specific credentials")
		}
		found = append(found, page.ServiceSpecificCredentials...)
		if !page.IsTruncated || page.Marker == nil {
			break
		}
		input.Marker = page.Marker
	}
	var failed []error
	for _, credential := range found {
		_, err := client.DeleteServiceSpecificCredential(ctx, &iam.DeleteServiceSpecificCredentialInput{UserName: user, ServiceSpecificCredentialId: credential.ServiceSpecificCredentialId})
		failed = append(failed, step(err, fmt.Sprintf("removing the credential for %s", aws.ToString(credential.ServiceName))))
	}
	return errors.Join(failed...)
}

func certificates(ctx context.Context, client *iam.Client, user *string) error {
	return everyOf(ctx, iam.NewListSigningCertificatesPaginator(client, &iam.ListSigningCertificatesInput{UserName: user}),
		func(p *iam.ListSigningCertificatesOutput) []types.SigningCertificate { return p.Certificates }, "signing certificates",
		func(certificate types.SigningCertificate) error {
			_, err := client.DeleteSigningCertificate(ctx, &iam.DeleteSigningCertificateInput{UserName: user, CertificateId: certificate.CertificateId})
			return err
		})
}
