package providers

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"time"
)

// longestAnswer is how much of one HTTP answer is read, in bytes.
const longestAnswer = 8 << 20

// ErrAnswerTooLong is returned by reading the body of an HTTP answer that goes on beyond 8 MiB.
var ErrAnswerTooLong = errors.New("the answer is longer than 8 MiB")

// NewHTTPClient returns the client by which a Backend reaches a system over HTTP: through the dialer only, by no proxy,
// to where it is told (a redirect is an answer like any other), each call bounded in time by timeout (0 means 30 seconds)
// and its answer in size. A nil TLS configuration is Go's default. The caller closes idle connections at its end.
func NewHTTPClient(dialer Dialer, config *tls.Config, timeout time.Duration) *http.Client {
	if timeout == 0 {
		timeout = 30 * time.Second
	}
	return &http.Client{
		Timeout: timeout,
		Transport: bounded{&http.Transport{
			DialContext:         dialer.DialContext,
			TLSClientConfig:     config.Clone(), // the transport adds its protocols to it
			ForceAttemptHTTP2:   true,
			MaxIdleConnsPerHost: 16,
			MaxConnsPerHost:     64,
			IdleConnTimeout:     time.Minute,

			TLSHandshakeTimeout:    10 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// bounded cuts answers that go on without end.
type bounded struct{ *http.Transport }

func (b bounded) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := b.Transport.RoundTrip(request)
	if err == nil {
		answer.Body = &boundedBody{ReadCloser: answer.Body, left: longestAnswer}
	}
	return answer, err
}

type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		var one [1]byte
		if n, err := b.ReadCloser.Read(one[:]); n == 0 {
			return 0, err
		}
		return 0, ErrAnswerTooLong
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	return n, err
}
