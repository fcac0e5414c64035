package awsiam

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"broker/providers"
	"broker/providers/awsclient"
)

// claimTimeout bounds how late a claim may still make its user, which is deleted at once and has no key.
const claimTimeout = 30 * time.Second

// ConfirmAbsent claims each name by making a user of it and deleting that. Two users cannot have one name, so that
// IAM, whose answers to questions may be old, decides here by what is so; and a create that is still on its way is
// refused by AWS, as its signature has expired.
func (b *backend) ConfirmAbsent(ctx context.Context, logins []providers.Login, notBefore time.Time) map[providers.LoginName]error {
	if len(logins) == 0 {
		return nil
	}
	ctx, cancel := b.bound(ctx)
	defer cancel()
	if _, err := b.Prove(ctx); err != nil {
		return all(logins, err)
	}
	// An answer of just now tells the time.
	if _, err := b.Fresh(ctx); err != nil {
		return all(logins, err)
	}
	if b.Now().Before(notBefore) {
		return all(logins, providers.Errorf(providers.KindTooEarly, "confirming that users are absent: by AWS's clock a create may still come"))
	}
	return b.each(ctx, logins, b.claim)
}

func (b *backend) claim(ctx context.Context, login providers.Login) error {
	input := &iam.CreateUserInput{UserName: name(login.Name), Path: aws.String(pathOf(login.Options)),
		Tags: []types.Tag{{Key: aws.String(tagCluster), Value: aws.String(b.env.ClusterID)}}}
	if boundary := login.Options.String(optionBoundary); boundary != "" {
		input.PermissionsBoundary = &boundary // the root account may be allowed to make no other users
	}
	doing := fmt.Sprintf("claiming the name of user %q", login.Name)
	calls := awsclient.Until(ctx, b.Now().Add(claimTimeout))
	_, err := b.IAM.CreateUser(calls, input, awsclient.Once)
	if awsclient.Absent(err) && input.PermissionsBoundary != nil {
		input.PermissionsBoundary = nil // it is gone
		_, err = b.IAM.CreateUser(calls, input, awsclient.Once)
	}
	if err != nil {
		return awsclient.Classify(err, doing)
	}
	for pause := 100 * time.Millisecond; ; pause *= 2 {
		_, err = b.IAM.DeleteUser(ctx, &iam.DeleteUserInput{UserName: name(login.Name)})
		switch {
		case err == nil:
			return nil
		case awsclient.HasCode(err, "DeleteConflict"):
			return providers.Errorf(providers.KindExists, "%s: it was given something meanwhile", doing)
		case !awsclient.Absent(err):
			return awsclient.Classify(err, doing)
		case pause > 4*time.Second:
			return providers.Errorf(providers.KindUnknown, "%s: the user made for it cannot be found to be deleted", doing)
		}
		// It was made a moment ago, and IAM does not know it everywhere yet.
		select {
		case <-ctx.Done():
			return awsclient.Classify(ctx.Err(), doing)
		case <-time.After(pause):
		}
	}
}
