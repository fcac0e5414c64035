package awssts

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"broker/providers"
	"broker/providers/awsclient"
)

// Create assumes the role for a session that ends with the lease.
func (b *backend) Create(ctx context.Context, grant providers.Grant) (providers.Values, error) {
	ctx, cancel := b.bound(ctx)
	defer cancel()
	if err := b.checkName(grant.Name); err != nil {
		return nil, err
	}
	if _, there := b.made.Load(grant.Name); there {
		return nil, providers.Errorf(providers.KindExists, "session %q was made already", grant.Name)
	}
	if _, err := b.Prove(ctx); err != nil {
		return nil, err
	}
	if now := b.Now(); !now.Before(grant.Deadline) || !time.Now().Before(grant.Deadline) {
		return nil, &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf("making session %q: the time to make it in has passed", grant.Name)}
	}
	input, err := b.input(grant)
	if err != nil {
		return nil, err
	}
	made, err := b.STS.AssumeRole(awsclient.Until(ctx, grant.Deadline), input, awsclient.OnceSTS)
	if err != nil {
		return nil, b.refusal(err, grant)
	}
	b.made.Store(grant.Name, true)
	secret, token := providers.NewSecret(aws.ToString(made.Credentials.SecretAccessKey)), providers.NewSecret(aws.ToString(made.Credentials.SessionToken))
	providers.Conceal(ctx, secret, token)
	return providers.Values{
		"username":          providers.NewSecret(string(grant.Name)),
		"access_key_id":     providers.NewSecret(aws.ToString(made.Credentials.AccessKeyId)),
		"secret_access_key": secret,
		"session_token":     token,
		"region":            providers.NewSecret(b.Settings.Region),
	}, nil
}

func (b *backend) input(grant providers.Grant) (*sts.AssumeRoleInput, error) {
	refuse := func(format string, args ...any) error {
		return &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf("making session %q: "+format, append([]any{grant.Name}, args...)...)}
	}
	// By the clock that is ahead, so that a lease of an hour fits into a role's hour.
	lasting := min(grant.ExpiresAt.Sub(b.Now()), time.Until(grant.ExpiresAt))
	if lasting > longest {
		return nil, refuse("the lease is longer than the %s that AWS makes sessions for", longest)
	}
	policy, err := sessionPolicy(grant.Options, grant.ExpiresAt)
	if err != nil {
		return nil, refuse("%s %w", optionPolicy, err)
	}
	input := &sts.AssumeRoleInput{
		RoleArn: aws.String(grant.Options.String(optionRole)), RoleSessionName: aws.String(string(grant.Name)),
		DurationSeconds: aws.Int32(duration(lasting)), Policy: &policy, PolicyArns: policiesOf(grant.Options), Tags: tagsOf(grant.Options),
	}
	if id := grant.Options.String(optionExternalID); id != "" {
		input.ExternalId = &id
	}
	return input, nil
}

// duration is how long AWS makes a session that is to last so long, in seconds.
func duration(lasting time.Duration) int32 {
	return int32(wholeSecond(time.Unix(0, 0).Add(max(lasting, shortest))).Unix())
}

// refusal classifies what AssumeRole was answered with, and remembers where no session can have been made.
func (b *backend) refusal(err error, grant providers.Grant) error {
	e := awsclient.Classify(err, fmt.Sprintf("making session %q", grant.Name))
	// Each was sent once, or again after a refusal.
	e.NotSent = awsclient.Unsent(err) || awsclient.Throttled(err)
	if e.NotSent || e.Kind == providers.KindRejected {
		b.refused.Store(grant.Name, true)
	}
	switch {
	case awsclient.Denied(err):
		e.Hint = fmt.Sprintf("Allow sts:AssumeRole (and sts:TagSession, for tags) on %s to the root account, and let the role's trust policy name it, with the external id if it asks for one.", grant.Options.String(optionRole))
	case strings.Contains(e.Error(), "DurationSeconds"):
		e.Hint = "Shorten the secret's max_ttl, or raise the role's longest session (aws iam update-role --max-session-duration). A role that is assumed by a role lasts an hour at most."
	}
	return e
}
