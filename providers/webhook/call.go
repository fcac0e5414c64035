package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"broker/providers"
)

// longestAnswer is how much of an answer is read, in bytes.
const longestAnswer = 1 << 20

// replier is an answer of success.
type replier interface{ head() Reply }

func (r *Reply) head() Reply { return *r }

// call makes one signed call and reads its answer. Its error says whether the call was sent.
func (b *backend) call(ctx context.Context, operation string, head Call, request any, reply replier) error {
	doing := "calling " + operation + " of the service at " + b.settings.url.Host
	if err := errors.Join(ctx.Err(), b.ctx.Err()); err != nil {
		return &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: fmt.Errorf("%s: %w", doing, err)}
	}
	select {
	case b.turns <- struct{}{}:
		defer func() { <-b.turns }()
	case <-ctx.Done():
		return &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Busy: true, Err: fmt.Errorf("waiting for a turn at the service: %w", ctx.Err())}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(b.ctx, cancel)()
	status, contentType, content, err := b.send(ctx, doing, operation, request)
	switch {
	case err != nil:
		return err
	case status/100 != 2:
		return statusError(doing, status, contentType, content)
	}
	return b.believe(doing, head, contentType, content, reply)
}

// send sends a request and reads the whole answer.
func (b *backend) send(ctx context.Context, doing, operation string, request any) (status int, contentType string, content []byte, err error) {
	notSent := func(kind providers.Kind, hint string, err error) error {
		return &providers.Error{Kind: kind, NotSent: true, Hint: hint, Err: fmt.Errorf("%s: %w", doing, err)}
	}
	body, err := json.Marshal(request)
	if err != nil {
		return 0, "", nil, notSent(providers.KindRejected, "", err)
	}
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent.Store(true) }})
	target := b.settings.url.JoinPath(operation)
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(body))
	if err != nil {
		return 0, "", nil, notSent(providers.KindRejected, "", err)
	}
	timestamp := strconv.FormatInt(time.Now().Unix(), 10)
	post.Header.Set("Content-Type", "application/json")
	post.Header.Set("Accept", "application/json")
	post.Header.Set(HeaderTimestamp, timestamp)
	post.Header.Set(HeaderSignature, sign(b.settings.secret, timestamp, post.Method, target.EscapedPath(), body))
	answer, err := b.client.Do(post)
	if err != nil {
		switch text := err.Error(); {
		case sent.Load():
			return 0, "", nil, &providers.Error{Kind: providers.KindUnknown, Err: fmt.Errorf("%s: %w", doing, err)}
		case errors.Is(err, providers.ErrAddressRefused):
			return 0, "", nil, notSent(providers.KindRejected, "The operator's network rules do not let the broker connect there.", err)
		case strings.Contains(text, "x509:") || strings.Contains(text, "tls:"):
			return 0, "", nil, notSent(providers.KindRejected, "The service's TLS does not satisfy the connection: give its authority as tls_ca, or its name as tls_server_name.", err)
		}
		if errors.Is(err, http.ErrSchemeMismatch) {
			return 0, "", nil, notSent(providers.KindRejected, "The service speaks no TLS at this port: the connection's url is https, which off loopback it has to be.", err)
		}
		return 0, "", nil, notSent(providers.KindUnavailable, "", err)
	}
	defer answer.Body.Close()
	content, err = io.ReadAll(io.LimitReader(answer.Body, longestAnswer+1))
	if err == nil && len(content) > longestAnswer {
		err = errors.New("the answer is longer than 1 MiB")
	}
	if err != nil {
		return 0, "", nil, &providers.Error{Kind: providers.KindUnknown, Err: fmt.Errorf("%s: reading the answer: %w", doing, err)}
	}
	return answer.StatusCode, answer.Header.Get("Content-Type"), content, nil
}

// believe reads an answer of success. Anything may answer 200, a proxy's page for one; only what repeats the request
// was said by the service.
func (b *backend) believe(doing string, head Call, contentType string, content []byte, reply replier) error {
	unknown := func(format string, args ...any) error {
		return &providers.Error{Kind: providers.KindUnknown, Hint: "What answers does not keep the contract of the provider's page.",
			Err: fmt.Errorf("%s: "+format, append([]any{doing}, args...)...)}
	}
	if !isJSON(contentType) {
		return unknown("the answer is %q, not application/json", contentType)
	}
	if err := json.Unmarshal(content, reply); err != nil {
		return unknown("the answer is no JSON of the contract") // which err may quote, a password with it
	}
	got := reply.head()
	switch {
	case got.RequestID != head.RequestID:
		return unknown("the answer does not repeat the request's id")
	case got.System == "" || len(got.System) > 200:
		return unknown("the answer names no system")
	case head.System != "" && got.System != head.System:
		return &providers.Error{Kind: providers.KindUnavailable, Hint: anotherSystem,
			Err: fmt.Errorf("%s: it is of system %q, and %q is meant", doing, got.System, head.System)}
	}
	return nil
}

const anotherSystem = "Let the connection's url lead to the system again that its leases were made at. If another has taken its place for good, say that the connection was replaced."

// statusError says what a status other than success means. The contract has what each promises.
func statusError(doing string, status int, contentType string, content []byte) *providers.Error {
	var failure Failure
	if isJSON(contentType) {
		_ = json.Unmarshal(content, &failure) // without a message the status speaks for itself
	}
	text := http.StatusText(status)
	if failure.Message != "" {
		text = failure.Message
	}
	e := &providers.Error{Kind: providers.KindRejected, Err: fmt.Errorf("%s: %s (status %d)", doing, strings.ToValidUTF8(text, "\uFFFD"), status)}
	switch {
	case status == http.StatusUnauthorized:
		e.NotSent = true
		e.Hint = "The service refuses the signature: check that the connection's secret is the service's, and the clocks of both."
	case status == http.StatusMisdirectedRequest:
		e.Kind, e.NotSent, e.Hint = providers.KindUnavailable, true, anotherSystem
	case status == http.StatusConflict:
		e.Kind = providers.KindExists
	case status == http.StatusTooEarly:
		e.Kind = providers.KindTooEarly
	case status == http.StatusNotImplemented:
		e.Kind = providers.KindUnsupported
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		e.Kind = providers.KindUnavailable
	case status/100 == 3:
		e.Hint = "Redirects are not followed: give the url that they lead to."
	case status == http.StatusNotFound || status == http.StatusMethodNotAllowed:
		e.Hint = "Check the path of the connection's url."
	case status/100 == 5 || status == http.StatusRequestTimeout:
		e.Kind = providers.KindUnknown
	}
	return e
}

func isJSON(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && kind == "application/json"
}
