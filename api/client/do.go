package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"broker/api/types"
)

// maxAnswer bounds an answer's body, so that a wrong address cannot fill the memory.
const maxAnswer = 64 << 20

// do makes a call: it tries one address after the other until one gives a final answer or the
// deadline has passed.
func (c *Client) do(ctx context.Context, what string, one *call, options ...Option) error {
	if one.query == nil {
		one.query = url.Values{}
	}
	one.header = http.Header{}
	one.consistency = c.config.Consistency
	if one.isDated() && one.consistency == types.Stale && c.config.MaxStale > 0 {
		one.query.Set("max_stale", c.config.MaxStale.String())
	}
	if one.method == http.MethodPost {
		// One key for all tries is what makes them one request.
		one.header.Set(types.HeaderIdempotencyKey, rand.Text())
	}
	for _, option := range options {
		option(one)
	}
	if one.isDated() && one.consistency != "" {
		one.query.Set("consistency", string(one.consistency))
		if one.consistency == types.Session && one.header.Get(types.HeaderMinIndex) == "" {
			one.header.Set(types.HeaderMinIndex, strconv.FormatUint(c.Index(), 10))
		}
	}
	var body []byte
	if one.body != nil {
		encoded, err := json.Marshal(one.body)
		if err != nil {
			return fmt.Errorf("%s: encoding the request: %w", what, err)
		}
		body = encoded
	}
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	token := c.tokens.get()
	err := c.tryAll(ctx, one, body)
	if c.config.Refresh != nil && Code(err) == "unauthenticated" {
		// It was refused before anything was done with it.
		if failed := c.refresh(ctx, token); failed != nil {
			err = failed
		} else {
			err = c.tryAll(ctx, one, body)
		}
	}
	if err := c.redacted(err); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// tryAll goes round the addresses, beginning with the one that answered last.
func (c *Client) tryAll(ctx context.Context, one *call, body []byte) error {
	failures := make([]error, len(c.addresses))
	var last error // the newest retryable answer of a node: it says more than an unreachable one
	ctx, goOn, done := asking(ctx)
	defer done()
	for round := 0; ; round++ {
		wait := c.pause(round)
		start := int(c.preferred.Load())
		for i := range c.addresses {
			at := (start + i) % len(c.addresses)
			result := c.try(ctx, c.addresses[at], one, body)
			if !result.again {
				if result.answered {
					c.preferred.Store(int64(at))
				}
				return result.err
			}
			failures[at] = result.err
			if result.answered {
				last = result.err
			}
			wait = max(wait, min(result.retryAfter, 5*time.Second))
			if ctx.Err() != nil {
				return c.gaveUp(failures, last)
			}
		}
		if !goOn(c.gaveUp(failures, last)) {
			return c.gaveUp(failures, last)
		}
		select {
		case <-ctx.Done():
			return c.gaveUp(failures, last)
		case <-time.After(wait):
		}
	}
}

type waitKey struct{}

// OnWait returns a context whose calls ask goOn whether to go on until their timeout: each second, and
// after each round over all addresses that brought no final answer. It is given how long the call has
// lasted and, after a round, what it would return now; it may tell people. It is called from several
// goroutines.
func OnWait(ctx context.Context, goOn func(waited time.Duration, unanswered error) bool) context.Context {
	return context.WithValue(ctx, waitKey{}, goOn)
}

// asking returns what asks for ctx's caller after a round, and a context for the rounds that ends when the
// caller, asked each second meanwhile, does not want to go on. Whoever calls it calls done.
func asking(ctx context.Context) (rounds context.Context, goOn func(unanswered error) bool, done func()) {
	ask, asked := ctx.Value(waitKey{}).(func(time.Duration, error) bool)
	if !asked {
		return ctx, func(error) bool { return true }, func() {}
	}
	begun := time.Now()
	goOn = func(unanswered error) bool { return ask(time.Since(begun), unanswered) }
	rounds, cancel := context.WithCancel(ctx)
	var ticking sync.WaitGroup
	ticking.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-rounds.Done():
				return
			case <-tick.C:
				if !goOn(nil) {
					cancel()
				}
			}
		}
	})
	return rounds, goOn, func() { cancel(); ticking.Wait() }
}

// pause returns how long to wait after a round: doubling, spread, bounded.
func (c *Client) pause(round int) time.Duration {
	grown := float64(c.config.RetryPause) * math.Pow(2, float64(min(round, 10)))
	grown = min(grown, 20*float64(c.config.RetryPause))
	return time.Duration(grown * (0.5 + mathrand.Float64()/2))
}

func (c *Client) gaveUp(failures []error, last error) error {
	if last != nil {
		return last
	}
	unreachable := &UnreachableError{}
	for i, failure := range failures {
		if failure != nil {
			unreachable.Failures = append(unreachable.Failures, Failure{c.addresses[i], failure})
		}
	}
	return unreachable
}

// result is the outcome of one try.
type result struct {
	err        error
	again      bool          // safe and useful to try again
	answered   bool          // the node gave an answer of its own
	retryAfter time.Duration // what the node suggested
}

func (c *Client) try(ctx context.Context, address string, one *call, body []byte) result {
	if one.repeatable() && len(c.addresses) > 1 {
		// A node that hangs must leave time for the others.
		if deadline, ok := ctx.Deadline(); ok {
			half, cancel := context.WithTimeout(ctx, time.Until(deadline)/2)
			defer cancel()
			ctx = half
		}
	}
	request, err := c.request(ctx, address, one, body)
	if err != nil {
		return result{err: err}
	}
	response, err := c.http.Do(request)
	if err != nil {
		return c.noAnswer(one, err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return c.noAnswer(one, fmt.Errorf("reading the answer: %w", err))
	}
	if index, err := strconv.ParseUint(response.Header.Get(types.HeaderIndex), 10, 64); err == nil {
		c.sawIndex(index)
	}
	if response.StatusCode >= 200 && response.StatusCode < 300 {
		if one.content != nil {
			*one.content = content
		}
		if one.answer == nil || len(content) == 0 {
			return result{answered: true}
		}
		if err := json.Unmarshal(content, one.answer); err != nil {
			return result{answered: true, err: fmt.Errorf("decoding the answer of %s: %w", address, err)}
		}
		return result{answered: true}
	}
	return refused(one, address, response, content)
}

// request builds the HTTP request of one try.
func (c *Client) request(ctx context.Context, address string, one *call, body []byte) (*http.Request, error) {
	target := address + one.path
	if len(one.query) > 0 {
		target += "?" + one.query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, one.method, target, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("building the request: %w", err)
	}
	for name, values := range one.header {
		request.Header[name] = values
	}
	request.Header.Set("User-Agent", c.config.UserAgent)
	request.Header.Set("Accept", "application/json")
	if one.body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if token := c.tokens.get(); token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return request, nil
}

// noAnswer judges a round trip that failed.
func (c *Client) noAnswer(one *call, err error) result {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // the URL is named by the caller
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = ErrTimeout
	}
	if neverSent(err) || one.repeatable() {
		return result{err: err, again: true}
	}
	return result{err: fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)}
}

// refused judges an answer that is not a success.
func refused(one *call, address string, response *http.Response, content []byte) result {
	problem := &types.Problem{}
	isProblem := strings.HasPrefix(response.Header.Get("Content-Type"), types.ProblemContentType)
	if !isProblem || json.Unmarshal(content, problem) != nil {
		// Not of the broker: a proxy, or another server at that address. Its text is not trusted.
		problem = &types.Problem{
			Status: response.StatusCode,
			Title:  http.StatusText(response.StatusCode),
			Detail: fmt.Sprintf("%s answered %d, which is no answer of a broker", address, response.StatusCode),
			Code:   "not_a_broker",
		}
	}
	out := result{err: problem, answered: isProblem}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds >= 0 {
		out.retryAfter = time.Duration(seconds) * time.Second
	}
	switch problem.Code {
	case "no_leader", "not_leader", "shutting_down", "too_stale", "state_diverged", "too_many_streams", "too_many_requests", "idempotency_key_in_progress":
		out.again = true // certainly not done
	case "outcome_unknown", "timeout", "not_a_broker":
		gateway := response.StatusCode >= 502 && response.StatusCode <= 504
		out.again = gateway && one.repeatable()
	}
	return out
}
