package awsclient

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"broker/providers"
)

// Caller is who calls are signed by.
type Caller struct {
	ARN     string
	Account string
}

// SystemID names the account, which is the system: users and roles belong to it whatever the endpoint.
func (c Caller) SystemID() providers.SystemID {
	return providers.SystemID(PartitionOfARN(c.ARN) + ":" + c.Account)
}

// Caller asks AWS who signs. It needs no privilege. An error says that nothing else was sent.
func (c *Client) Caller(ctx context.Context) (Caller, error) {
	signing, err := c.credentials.Retrieve(ctx)
	if err != nil {
		return Caller{}, notSent(Classify(err, "signing in to AWS"))
	}
	c.mu.Lock()
	proven, caller := c.proven, c.caller
	c.mu.Unlock()
	// A key belongs to one account for ever, so each is asked for once.
	if proven == signing.AccessKeyID {
		return caller, nil
	}
	if caller, err = callerOf(ctx, c.STS); err != nil {
		return Caller{}, notSent(Classify(err, "asking AWS who the root account is"))
	}
	c.mu.Lock()
	c.proven, c.caller = signing.AccessKeyID, caller
	c.mu.Unlock()
	return caller, nil
}

// Fresh asks AWS who signs also when that is known, so that a call that has to know whether the credential is good,
// and what time it is, learns it now.
func (c *Client) Fresh(ctx context.Context) (Caller, error) {
	c.mu.Lock()
	c.proven = ""
	c.mu.Unlock()
	return c.Caller(ctx)
}

func callerOf(ctx context.Context, client *sts.Client) (Caller, error) {
	answer, err := client.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return Caller{}, err
	}
	return Caller{ARN: aws.ToString(answer.Arn), Account: aws.ToString(answer.Account)}, nil
}

// Prove refuses every account but the one that is meant: in another, each login is absent of course. Nothing was sent
// when it fails, but the question.
func (c *Client) Prove(ctx context.Context) (Caller, error) {
	if err := ctx.Err(); err != nil {
		return Caller{}, &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: fmt.Errorf("calling AWS: %w", err)}
	}
	caller, err := c.Caller(ctx)
	if err != nil {
		return Caller{}, err
	}
	if meant := c.env.Identity; meant != "" && caller.SystemID() != meant {
		return Caller{}, &providers.Error{Kind: providers.KindUnavailable, NotSent: true,
			Hint: "Give the connection a credential of the account again that its leases were made in. If another account has taken its place for good, say that the connection was replaced.",
			Err:  fmt.Errorf("the root credential belongs to another account than the one that is meant: %s, not %s", caller.SystemID(), meant)}
	}
	return caller, nil
}

// notSent marks an error of what comes before the first call of an operation.
func notSent(e *providers.Error) *providers.Error {
	e.NotSent = true
	if e.Kind == providers.KindUnknown {
		e.Kind = providers.KindUnavailable
	}
	return e
}

// LogIn tries the access key of a lease's values.
func (c *Client) LogIn(ctx context.Context, values providers.Values) error {
	client := c.As(values["access_key_id"].Reveal(), values["secret_access_key"], values["session_token"])
	if _, err := callerOf(ctx, client); err != nil {
		e := Classify(err, "logging in to AWS with the lease's access key")
		if HasCode(err, "InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "SignatureDoesNotMatch") {
			e.Hint = "AWS needs some seconds until it knows a new key everywhere."
		}
		return e
	}
	return nil
}
