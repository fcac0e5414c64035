package awsclient

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// signatureTTL is how old a signature may be when a call arrives: AWS documents five minutes.
const signatureTTL = 5 * time.Minute

// clock sends calls and reads AWS's time from the answers.
type clock struct {
	next *http.Client

	mu   sync.Mutex
	told time.Time // the Date of the latest answer
	at   time.Time // when it came, by the local clock
}

// Do sends a call.
func (c *clock) Do(request *http.Request) (*http.Response, error) {
	answer, err := c.next.Do(request)
	if err != nil {
		return nil, err
	}
	if told, err := http.ParseTime(answer.Header.Get("Date")); err == nil {
		c.mu.Lock()
		c.told, c.at = told, time.Now()
		c.mu.Unlock()
	}
	return answer, nil
}

// Now is AWS's time, or up to a second before it; the local time before the first answer.
func (c *Client) Now() time.Time {
	c.clock.mu.Lock()
	defer c.clock.mu.Unlock()
	if c.clock.told.IsZero() {
		return time.Now()
	}
	return c.clock.told.Add(time.Since(c.clock.at))
}

type deadlineKey struct{}

// Until bounds the calls made under the context: each is signed as of so long ago that AWS refuses it, as one whose
// signature has expired, when it arrives after the deadline by AWS's clock. However long this process, the network or
// a proxy hold a call up, it makes nothing later.
func Until(ctx context.Context, deadline time.Time) context.Context {
	return context.WithValue(ctx, deadlineKey{}, deadline)
}

// signer signs as of now, or earlier for a call with a deadline.
type signer struct{ *v4.Signer }

// SignHTTP signs a request.
func (s signer) SignHTTP(ctx context.Context, credentials aws.Credentials, r *http.Request, payloadHash, service, region string, signingTime time.Time, optFns ...func(*v4.SignerOptions)) error {
	if deadline, ok := ctx.Value(deadlineKey{}).(time.Time); ok {
		if latest := deadline.Add(-signatureTTL); latest.Before(signingTime) {
			signingTime = latest
		}
	}
	return s.Signer.SignHTTP(ctx, credentials, r, payloadHash, service, region, signingTime, optFns...)
}
