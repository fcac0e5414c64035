package rabbitmq

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"broker/providers"
)

// credential is who a request is made by.
type credential struct {
	username string
	password providers.Secret
}

// answer is what the server said to a request that it took.
type answer struct {
	status int
	at     time.Time // by the server's clock, to the second below; the local one where it does not say
	body   []byte
}

// statusError is an answer of a status that was not expected.
type statusError struct {
	status int
	reason string
}

func (e statusError) Error() string { return fmt.Sprintf("%d %s", e.status, e.reason) }

// path joins the segments of a path below /api, each escaped.
func path(segments ...string) string {
	escaped := make([]string, len(segments))
	for i, segment := range segments {
		escaped[i] = url.PathEscape(segment)
	}
	return strings.Join(escaped, "/")
}

// do makes one request as the root account, and expects one of the statuses, or any of success when none are given.
func (b *backend) do(ctx context.Context, doing, method, path string, body any, expected ...int) (answer, error) {
	return b.doAs(ctx, credential{b.settings.username, b.settings.password}, doing, method, path, body, expected...)
}

func (b *backend) doAs(ctx context.Context, who credential, doing, method, path string, body any, expected ...int) (answer, error) {
	a, sent, err := b.request(ctx, who, method, path, body)
	if err == nil && len(expected) == 0 && a.status >= 200 && a.status < 300 {
		return a, nil
	}
	for _, status := range expected {
		if err == nil && a.status == status {
			return a, nil
		}
	}
	if err == nil {
		err = statusError{a.status, reason(a.body)}
	}
	return a, b.classify(doing, err, sent)
}

// request makes one request. Sent is false when nothing but perhaps a TLS handshake can have left the process.
func (b *backend) request(ctx context.Context, who credential, method, path string, body any) (a answer, sent bool, err error) {
	var connected atomic.Bool
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return answer{}, false, err
		}
		content = bytes.NewReader(encoded)
	}
	ctx, cancel := context.WithTimeout(ctx, b.settings.requestTimeout)
	defer cancel()
	defer context.AfterFunc(b.ctx, cancel)()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	scheme := "http"
	if b.settings.tls != nil {
		scheme = "https"
	}
	request, err := http.NewRequestWithContext(ctx, method, scheme+"://"+b.settings.address()+"/api/"+path, content)
	if err != nil {
		return answer{}, false, err
	}
	request.SetBasicAuth(who.username, who.password.Reveal())
	request.Header.Set("Content-Type", "application/json")
	response, err := b.http.Do(request)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err // its text repeats the address
		}
		return answer{}, connected.Load(), err
	}
	defer response.Body.Close()
	a.status, a.at = response.StatusCode, time.Now()
	if at, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		a.at = at
	}
	a.body, err = io.ReadAll(response.Body)
	return a, true, err
}

// reason is what the server says of a failure, in one line.
func reason(body []byte) string {
	var said struct {
		Reason any `json:"reason"`
	}
	if json.Unmarshal(body, &said) != nil || said.Reason == nil {
		return "no reason given"
	}
	// Regular expressions are complained of as lists of character codes.
	if parts, ok := said.Reason.([]any); ok && len(parts) > 0 {
		if text, ok := parts[0].(string); ok {
			for _, part := range parts[1:] {
				if more, ok := part.(string); ok {
					text += " " + more
				}
			}
			return text
		}
	}
	return fmt.Sprint(said.Reason)
}

// locked reports whether an error is the server's refusal of the credential that a request was made with.
func locked(err error) bool {
	var status statusError
	return errors.As(err, &status) && status.status == http.StatusUnauthorized
}

// classify says what the failure of a request means.
func (b *backend) classify(doing string, err error, sent bool) *providers.Error {
	e := &providers.Error{Kind: providers.KindUnknown, NotSent: !sent, Err: fmt.Errorf("%s at %s: %w", doing, b.settings.address(), err)}
	var status statusError
	var untrusted *tls.CertificateVerificationError
	var noTLS tls.RecordHeaderError
	var authority x509.UnknownAuthorityError
	switch {
	case errors.As(err, &status):
		classifyStatus(e, status)
	case sent:
	case errors.Is(err, providers.ErrAddressRefused):
		e.Kind = providers.KindRejected
		e.Hint = "The operator's network rules do not let the broker connect there."
	case errors.As(err, &untrusted), errors.As(err, &noTLS), errors.As(err, &authority), errors.Is(err, http.ErrSchemeMismatch):
		e.Kind = providers.KindRejected
		e.Hint = "The server's TLS does not satisfy the connection: give its authority as tls_ca, or tls=off when the server speaks none at this port."
	default:
		e.Kind = providers.KindUnavailable
	}
	if strings.Contains(err.Error(), "malformed HTTP response") {
		e.Hint = "This is no port for HTTP, such as the one for AMQP: give that of the management API (15671, or 15672 without TLS)."
	}
	return e
}

func classifyStatus(e *providers.Error, status statusError) {
	e.Kind = providers.KindRejected
	switch {
	case status.status == http.StatusUnauthorized:
		e.NotSent = true // it is judged before anything else
		e.Hint = "The root account's name or password was refused, or it lacks the tag administrator: rabbitmqctl set_user_tags <name> administrator. Check the connection's username and password."
	case status.status == http.StatusNotFound:
		e.Hint = "Nothing is there: is this the port of the management API, with the plugin rabbitmq_management enabled?"
	case status.status == http.StatusTooManyRequests:
		e.Kind = providers.KindUnavailable
	case status.reason == "invalid_regexp":
		e.Hint = "The server takes one of the regular expressions in the secret's permissions or topic_permissions for none."
	case status.status == http.StatusBadGateway, status.status == http.StatusServiceUnavailable, status.status == http.StatusGatewayTimeout:
		// A proxy's word too: the request may be under way.
		e.Kind = providers.KindUnavailable
	case status.status >= 500:
		e.Kind = providers.KindUnknown
	case status.status < 400:
		e.Hint = "The server answers otherwise than RabbitMQ's management API does."
	}
}
