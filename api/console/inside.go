package console

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"

	"broker/api/types"
)

// inside carries the calls of a page's client to the node's own API, without a socket. The API sees them as coming from
// the browser: from its address, by its host name, through its connection.
type inside struct {
	api      http.Handler
	browser  *http.Request
	minIndex uint64 // of the state that reads are answered from; zero: whatever the client asks for
}

// errHung is returned for a handler that ended without an answer.
var errHung = errors.New("the API gave no answer")

// RoundTrip has the API answer. The answer's body arrives while it is written, so that streams work too.
func (t inside) RoundTrip(out *http.Request) (*http.Response, error) {
	ctx := context.WithValue(out.Context(), http.LocalAddrContextKey, t.browser.Context().Value(http.LocalAddrContextKey))
	in := out.Clone(ctx)
	in.RemoteAddr, in.Host, in.TLS, in.RequestURI = t.browser.RemoteAddr, t.browser.Host, t.browser.TLS, out.URL.RequestURI()
	if in.Body == nil {
		in.Body = http.NoBody
	}
	if forwarded := t.browser.Header.Values("X-Forwarded-For"); len(forwarded) > 0 {
		in.Header["X-Forwarded-For"] = forwarded
	}
	if t.minIndex > 0 && in.Method == http.MethodGet {
		in.Header.Set(types.HeaderMinIndex, strconv.FormatUint(t.minIndex, 10))
	}
	from, to := io.Pipe()
	w := &answer{header: http.Header{}, body: to, begun: make(chan struct{})}
	go func() {
		defer func() {
			var err error
			if recover() != nil { // the API has logged it, or cut the connection off
				err = errHung
			}
			w.WriteHeader(http.StatusOK)
			to.CloseWithError(err)
		}()
		t.api.ServeHTTP(w, in)
	}()
	select {
	case <-ctx.Done():
		from.CloseWithError(ctx.Err())
		return nil, ctx.Err()
	case <-w.begun:
		return &http.Response{
			StatusCode: w.status, Status: http.StatusText(w.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: w.sent, Body: from, ContentLength: -1, Request: out,
		}, nil
	}
}

// answer is where the API writes to.
type answer struct {
	header http.Header // as the handler changes it
	body   *io.PipeWriter

	once   sync.Once
	begun  chan struct{} // closed once the two below are set
	status int
	sent   http.Header
}

// Header returns what is to be sent.
func (w *answer) Header() http.Header { return w.header }

// WriteHeader sends the head, once.
func (w *answer) WriteHeader(status int) {
	w.once.Do(func() {
		w.status, w.sent = status, w.header.Clone()
		close(w.begun)
	})
}

// Write waits until the client has read.
func (w *answer) Write(data []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(data)
}

// Flush sends the head; nothing is held back.
func (w *answer) Flush() { w.WriteHeader(http.StatusOK) }
