package awssts

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"broker/providers"
	"broker/providers/awsclient"
)

// CheckOptions looks whether the role is in the connection's partition, and for revocation=deny whether the root
// account reaches the role's policies. Whether the role may be assumed only assuming it tells.
func (b *backend) CheckOptions(ctx context.Context, options providers.Options) ([]providers.FieldError, error) {
	ctx, cancel := b.bound(ctx)
	defer cancel()
	caller, err := b.Prove(ctx)
	if err != nil {
		return nil, err
	}
	role := options.String(optionRole)
	arn, err := awsclient.ParseARN(role)
	if err != nil {
		return nil, nil //nolint:nilerr // said when the options were validated
	}
	one := func(field, format string, args ...any) []providers.FieldError {
		return []providers.FieldError{{Field: field, Message: fmt.Sprintf(format, args...)}}
	}
	if arn.Partition != b.Settings.Partition {
		return one(optionRole, "%s is of partition %s, and the connection's region of %s", role, arn.Partition, b.Settings.Partition), nil
	}
	if options.String(optionRevocation) != revocationDeny {
		return nil, nil
	}
	if arn.Account != caller.Account {
		return one(optionRevocation, "%s needs a role of the connection's account: %s is in %s, the connection leads to %s", revocationDeny, role, arn.Account, caller.Account), nil
	}
	name := arn.Name()
	_, err = b.IAM.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: &name})
	if awsclient.Absent(err) {
		return one(optionRole, "there is no role %s", role), nil
	}
	if err == nil {
		// There is no such policy: the answer tells whether one could be removed.
		_, err = b.IAM.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: &name, PolicyName: aws.String(b.env.Prefix + "no_policy_" + rand.Text())})
	}
	switch {
	case awsclient.Denied(err):
		return one(optionRevocation, "%s: %s", revocationDeny, awsclient.Classify(err, "").Hint), nil
	case err != nil && !awsclient.Absent(err):
		return nil, awsclient.Classify(err, "looking at the policies of role "+name)
	}
	return nil, nil
}
