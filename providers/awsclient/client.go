package awsclient

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"broker/providers"
)

// How often a call is sent at most, and how long the longest pause between two is. AWS throttles IAM to some twenty
// calls a second for an account, whoever makes them.
const (
	attempts   = 3
	maxBackoff = 3 * time.Second
)

// Client reaches one account of AWS. It is safe for concurrent use.
type Client struct {
	Settings Settings
	IAM      *iam.Client
	STS      *sts.Client

	// LostAfter is how old a key of the root account has to be that a rotation made without an answer, before another
	// takes its place. New sets it to two minutes; it may be set before the first call.
	LostAfter time.Duration

	env         providers.Env
	http        *http.Client
	clock       *clock
	credentials aws.CredentialsProvider // that calls are signed with
	own         aws.CredentialsProvider // that the role is assumed with, and the same where there is none

	mu     sync.Mutex
	proven string // the access key id that the caller was asked for with
	caller Caller
}

// New returns a client for what the settings, which have passed validation, name. It does no I/O. The caller calls
// Close.
func New(s providers.Settings, env providers.Env) (*Client, error) {
	read, err := readSettings(s)
	if err != nil {
		return nil, &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf("opening AWS connection: %w", err)}
	}
	transport := providers.NewHTTPClient(env.Dialer, read.tls, 0)
	c := &Client{Settings: read, LostAfter: defaultLostAfter, env: env, http: transport, clock: &clock{next: transport}}
	if read.credentials == credentialsDefault {
		c.own = named{machine(read.Region, c.exchange()), "the machine's own identity"}
	} else {
		c.own = credentials.NewStaticCredentialsProvider(read.key.id, read.key.secret.Reveal(), read.key.token.Reveal())
	}
	c.own = aws.NewCredentialsCache(c.own)
	c.credentials = c.own
	if read.roleARN != "" {
		assume := stscreds.NewAssumeRoleProvider(sts.New(c.stsOptions(c.own)), read.roleARN, func(o *stscreds.AssumeRoleOptions) {
			o.RoleSessionName = sessionName(env.ClusterID)
			if read.externalID != "" {
				o.ExternalID = aws.String(read.externalID)
			}
		})
		c.credentials = aws.NewCredentialsCache(named{assume, "role " + read.roleARN})
	}
	c.IAM = iam.New(c.iamOptions(c.credentials))
	c.STS = sts.New(c.stsOptions(c.credentials))
	return c, nil
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func (c *Client) iamOptions(as aws.CredentialsProvider) iam.Options {
	return iam.Options{
		Region: c.Settings.Region, BaseEndpoint: given(c.Settings.endpoint), Credentials: as, HTTPClient: c.clock,
		Retryer: retryer(), HTTPSignerV4: signer{v4.NewSigner()},
	}
}

func (c *Client) stsOptions(as aws.CredentialsProvider) sts.Options {
	return sts.Options{
		Region: c.Settings.Region, BaseEndpoint: given(c.Settings.stsEndpoint), Credentials: as, HTTPClient: c.clock,
		Retryer: retryer(), HTTPSignerV4: signer{v4.NewSigner()},
	}
}

// exchange are the options of exchanging the machine's web identity. Whoever has that token is the machine, for as long as
// it is good: it goes to AWS's own STS, over TLS that AWS's certificates satisfy, and not where a connection's fields lead.
func (c *Client) exchange() sts.Options {
	o := c.stsOptions(nil)
	o.BaseEndpoint, o.HTTPClient = nil, providers.NewHTTPClient(c.env.Dialer, nil, 0)
	return o
}

// As returns a client of STS that signs with the credential of a lease, and tries once.
func (c *Client) As(id string, secret, token providers.Secret) *sts.Client {
	options := c.stsOptions(credentials.NewStaticCredentialsProvider(id, secret.Reveal(), token.Reveal()))
	options.Retryer = aws.NopRetryer{}
	return sts.New(options)
}

// Once keeps a call that must not be carried out twice from being sent again, unless AWS refused it for coming too fast or meeting
// another.
func Once(o *iam.Options) { o.Retryer = onlyRefused() }

// OnceSTS is Once for a call of STS.
func OnceSTS(o *sts.Options) { o.Retryer = onlyRefused() }

// collided are answers that something was just being changed by somebody else: nothing was done, and soon may be.
var collided = retry.RetryableErrorCode{Codes: map[string]struct{}{"ConcurrentModification": {}, "EntityTemporarilyUnmodifiable": {}}}

func retryer() aws.Retryer {
	return retry.NewStandard(modest, func(o *retry.StandardOptions) { o.Retryables = append(o.Retryables, collided) })
}

func onlyRefused() aws.Retryer {
	return retry.NewStandard(modest, func(o *retry.StandardOptions) {
		o.Retryables = []retry.IsErrorRetryable{retry.NoRetryCanceledError{}, retry.RetryableErrorCode{Codes: retry.DefaultThrottleErrorCodes}, collided}
	})
}

func modest(o *retry.StandardOptions) {
	o.MaxAttempts, o.MaxBackoff = attempts, maxBackoff
	o.RateLimiter = ratelimit.None // of retries over all calls, which hides the answer when it is spent
}

func given(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

var notInSessionName = regexp.MustCompile(`[^\w+=,.@-]`)

// sessionName is what the trail of AWS shows as the broker's session in an assumed role.
func sessionName(clusterID string) string {
	name := "broker-" + notInSessionName.ReplaceAllString(clusterID, "-")
	return name[:min(len(name), 64)]
}

// named says whose credentials could not be had.
type named struct {
	aws.CredentialsProvider
	what string
}

// credentialsError is an error of getting the credentials to sign with: the call itself was not sent.
type credentialsError struct {
	what string
	err  error
}

func (e *credentialsError) Error() string {
	return "getting credentials of " + e.what + ": " + e.err.Error()
}
func (e *credentialsError) Unwrap() error { return e.err }

func (n named) Retrieve(ctx context.Context) (aws.Credentials, error) {
	got, err := n.CredentialsProvider.Retrieve(ctx)
	if err != nil {
		return got, &credentialsError{n.what, err}
	}
	return got, nil
}
