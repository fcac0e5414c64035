package awsclient

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"broker/providers"
)

// existingKeys is the field of a plan that names the keys there were before, so that one made by a call cut short,
// whose secret nobody knows, is recognised.
const existingKeys = "existing_keys"

// settleTimeout bounds the wait until AWS knows a new key everywhere, or has forgotten an old one.
const settleTimeout = 20 * time.Second

// keyOwner is the IAM user whose access key the connection holds, signing as itself.
type keyOwner struct {
	name string
	iam  *iam.Client
}

func (c *Client) keyOwner(ctx context.Context) (keyOwner, error) {
	if c.Settings.credentials == credentialsDefault || !c.Settings.key.token.IsZero() {
		return keyOwner{}, providers.Errorf(providers.KindUnsupported, "only a lasting access key can be exchanged: other credentials AWS itself replaces")
	}
	if _, err := c.Prove(ctx); err != nil {
		return keyOwner{}, err
	}
	caller, err := callerOf(ctx, sts.New(c.stsOptions(c.own)))
	if err != nil {
		return keyOwner{}, notSent(Classify(err, "asking AWS whose the access key is"))
	}
	arn, err := ParseARN(caller.ARN)
	if err != nil || !strings.HasPrefix(arn.Resource, "user/") {
		return keyOwner{}, providers.Errorf(providers.KindUnsupported, "the access key belongs to %s, which is no IAM user: exchange it in the console of AWS", caller.ARN)
	}
	return keyOwner{arn.Name(), iam.New(c.iamOptions(c.own))}, nil
}

func (o keyOwner) keys(ctx context.Context) ([]string, error) {
	var ids []string
	pages := iam.NewListAccessKeysPaginator(o.iam, &iam.ListAccessKeysInput{UserName: &o.name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, Classify(err, "listing the root account's access keys")
		}
		for _, key := range page.AccessKeyMetadata {
			ids = append(ids, aws.ToString(key.AccessKeyId))
		}
	}
	return ids, nil
}

// delete removes a key; one that is gone is fine.
func (o keyOwner) delete(ctx context.Context, id string) error {
	_, err := o.iam.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: &o.name, AccessKeyId: &id})
	if err != nil && !Absent(err) {
		return Classify(err, "deleting access key "+id+" of the root account")
	}
	return nil
}

// PlanRotation records which keys the root account has.
func (c *Client) PlanRotation(ctx context.Context) (providers.Settings, error) {
	owner, err := c.keyOwner(ctx)
	if err != nil {
		return nil, err
	}
	ids, err := owner.keys(ctx)
	if err != nil {
		return nil, err
	}
	if len(ids) > 1 {
		others := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return id == c.Settings.key.id })
		return nil, &providers.Error{Kind: providers.KindRejected,
			Hint: fmt.Sprintf("Delete the other key if nothing uses it: aws iam delete-access-key --user-name %s --access-key-id %s", owner.name, others[0]),
			Err:  fmt.Errorf("user %s has %d access keys already, and AWS allows two: there is no room for a new one", owner.name, len(ids))}
	}
	return providers.Settings{existingKeys: ids}, nil
}

// Rotate makes the second key of the root account and waits until AWS accepts it.
func (c *Client) Rotate(ctx context.Context, plan providers.Settings) (providers.Settings, error) {
	owner, err := c.keyOwner(ctx)
	if err != nil {
		return nil, err
	}
	existing := plan.List(existingKeys)
	if !slices.Contains(existing, c.Settings.key.id) {
		// The connection has the new key already.
		return providers.Settings{FieldAccessKeyID: c.Settings.key.id, FieldSecretAccessKey: c.Settings.key.secret.Reveal()}, nil
	}
	ids, err := owner.keys(ctx)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if !slices.Contains(existing, id) {
			if err := owner.delete(ctx, id); err != nil {
				return nil, err
			}
		}
	}
	made, err := owner.iam.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: &owner.name}, Once)
	if err != nil {
		return nil, Classify(err, "making a new access key for the root account")
	}
	id, secret := aws.ToString(made.AccessKey.AccessKeyId), providers.NewSecret(aws.ToString(made.AccessKey.SecretAccessKey))
	providers.Conceal(ctx, secret)
	// Whether it is accepted is for the check that follows to say.
	_ = c.WaitUsable(ctx, settleTimeout, id, secret)
	return providers.Settings{FieldAccessKeyID: id, FieldSecretAccessKey: secret.Reveal()}, nil
}

// Retire deletes the key that the connection had before and waits until AWS refuses it.
func (c *Client) Retire(ctx context.Context, previous providers.Settings) error {
	id := previous.String(FieldAccessKeyID)
	if id == "" || id == c.Settings.key.id {
		return nil
	}
	owner, err := c.keyOwner(ctx)
	if err != nil {
		return err
	}
	if err := owner.delete(ctx, id); err != nil {
		return err
	}
	secret := providers.NewSecret(previous.String(FieldSecretAccessKey))
	if secret.IsZero() {
		return nil
	}
	old := c.As(id, secret, providers.NewSecret(previous.String(FieldSessionToken)))
	return poll(ctx, settleTimeout, func() error {
		_, err := callerOf(ctx, old)
		switch {
		case err == nil:
			return providers.Errorf(providers.KindUnknown, "access key %s was deleted and AWS still accepts it", id)
		case HasCode(err, "InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId"):
			return nil
		}
		return Classify(err, "trying whether the old access key is refused")
	})
}

// WaitUsable waits until AWS accepts a new key, which takes it some seconds to know everywhere, or for so long at most.
func (c *Client) WaitUsable(ctx context.Context, timeout time.Duration, id string, secret providers.Secret) error {
	client := c.As(id, secret, providers.Secret{})
	return poll(ctx, timeout, func() error {
		_, err := callerOf(ctx, client)
		if err != nil {
			return Classify(err, "trying the new access key")
		}
		return nil
	})
}

// poll tries with growing pauses until it succeeds, the time is up or the context is done, and returns the last error.
func poll(ctx context.Context, timeout time.Duration, try func() error) error {
	over := time.After(timeout)
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-over:
			return err
		case <-time.After(pause):
		}
	}
}
