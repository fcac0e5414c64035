package awsclient

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"broker/providers"
)

// existingKeys is the field of a plan that names the keys there were before, so that one made by a call cut short,
// whose secret nobody knows, is recognised.
const existingKeys = "existing_keys"

// defaultLostAfter is how old a key has to be that was made by a rotation's call of unknown outcome, before it is
// deleted for a new one. A call ends long before, and AWS refuses what is late of it; so whoever deletes such a key began
// after the ledger could have taken it, and did not.
const (
	defaultLostAfter = 2 * time.Minute
	changeTimeout    = time.Minute // for the calls that change keys, by AWS's clock
)

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

func (o keyOwner) keys(ctx context.Context) ([]types.AccessKeyMetadata, error) {
	var keys []types.AccessKeyMetadata
	pages := iam.NewListAccessKeysPaginator(o.iam, &iam.ListAccessKeysInput{UserName: &o.name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, Classify(err, "listing the root account's access keys")
		}
		keys = append(keys, page.AccessKeyMetadata...)
	}
	return keys, nil
}

// delete removes a key; one that is gone is fine.
func (o keyOwner) delete(ctx context.Context, id string) error {
	_, err := o.iam.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: &o.name, AccessKeyId: &id})
	if err != nil && !Absent(err) {
		return Classify(err, "deleting access key "+id+" of the root account")
	}
	return nil
}

// PlanRotation records which keys the root account has. One that the abandoned rotation may have made is not among
// them.
func (c *Client) PlanRotation(ctx context.Context, abandoned providers.Settings) (providers.Settings, error) {
	owner, err := c.keyOwner(ctx)
	if err != nil {
		return nil, err
	}
	keys, err := owner.keys(ctx)
	if err != nil {
		return nil, err
	}
	before := abandoned.List(existingKeys)
	covers := slices.Contains(before, c.Settings.key.id)
	existing := []string{}
	other := ""
	for _, key := range keys {
		id := aws.ToString(key.AccessKeyId)
		if covers && !slices.Contains(before, id) {
			continue
		}
		existing = append(existing, id)
		if id != c.Settings.key.id {
			other = id
		}
	}
	if other != "" {
		return nil, &providers.Error{Kind: providers.KindRejected,
			Hint: fmt.Sprintf("Delete the other key if nothing uses it: aws iam delete-access-key --user-name %s --access-key-id %s", owner.name, other),
			Err:  fmt.Errorf("user %s has %d access keys already, and AWS allows two: there is no room for a new one", owner.name, len(existing))}
	}
	return providers.Settings{existingKeys: existing}, nil
}

// Rotate makes the second key of the root account and waits until AWS accepts it. It takes away only a key whose
// secret was lost for certain.
func (c *Client) Rotate(ctx context.Context, plan providers.Settings) (providers.Settings, error) {
	existing := plan.List(existingKeys)
	if !slices.Contains(existing, c.Settings.key.id) {
		// The connection has the new key already.
		return providers.Settings{FieldAccessKeyID: c.Settings.key.id, FieldSecretAccessKey: c.Settings.key.secret.Reveal()}, nil
	}
	owner, err := c.keyOwner(ctx)
	if err != nil {
		// That the old key is refused says nothing about what an earlier call made.
		var refused *providers.Error
		if errors.As(err, &refused) && refused.Kind == providers.KindRejected {
			refused.Kind = providers.KindUnavailable
		}
		return nil, err
	}
	until := c.Now().Add(changeTimeout)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(until) {
		until = deadline
	}
	changes := Until(ctx, until)
	if err := c.replaceLost(changes, owner, existing); err != nil {
		return nil, err
	}
	made, err := owner.iam.CreateAccessKey(changes, &iam.CreateAccessKeyInput{UserName: &owner.name}, Once)
	if err != nil {
		return nil, Classify(err, "making a new access key for the root account")
	}
	id, secret := aws.ToString(made.AccessKey.AccessKeyId), providers.NewSecret(aws.ToString(made.AccessKey.SecretAccessKey))
	providers.Conceal(ctx, secret)
	// Whether it is accepted is for the check that follows to say. IAM and STS learn of it each for itself.
	_ = c.WaitUsable(ctx, settleTimeout, id, secret)
	_ = poll(ctx, settleTimeout, func() error {
		as := c.iamOptions(credentials.NewStaticCredentialsProvider(id, secret.Reveal(), ""))
		_, err := keyOwner{owner.name, iam.New(as)}.keys(ctx)
		return err
	})
	return providers.Settings{FieldAccessKeyID: id, FieldSecretAccessKey: secret.Reveal()}, nil
}

// replaceLost makes room for a key where an earlier call made one whose secret nobody has. A young one may be that of
// another process, and in the ledger before this one knows.
func (c *Client) replaceLost(ctx context.Context, owner keyOwner, existing []string) error {
	keys, err := owner.keys(ctx)
	if err != nil {
		return err
	}
	for _, key := range keys {
		id := aws.ToString(key.AccessKeyId)
		if slices.Contains(existing, id) {
			continue
		}
		if age := c.Now().Sub(aws.ToTime(key.CreateDate)); age < c.LostAfter {
			return providers.Errorf(providers.KindTooEarly, "access key %s of the root account was made %s ago by a call whose answer was lost, or is yet to come: it is replaced when it is %s old", id, age.Round(time.Second), c.LostAfter)
		}
		if err := owner.delete(ctx, id); err != nil {
			return err
		}
	}
	return nil
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
			return providers.Errorf(providers.KindTooEarly, "access key %s was deleted and AWS still accepts it", id)
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
