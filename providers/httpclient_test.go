package providers_test

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"broker/providers"
)

const longestAnswer = 8 << 20

// get returns the body of an answer.
func get(t *testing.T, client *http.Client, address string) (*http.Response, []byte, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer, body, err
}

// endless writes so many bytes.
func endless(w io.Writer, bytes int) {
	line := strings.Repeat("x", 1<<16)
	for ; bytes > 0; bytes -= len(line) {
		if _, err := io.WriteString(w, line[:min(len(line), bytes)]); err != nil {
			return
		}
	}
}

func TestHTTPClientBoundsAnswers(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/most":
			endless(w, longestAnswer)
		case "/more":
			endless(w, longestAnswer+1)
		case "/bomb":
			w.Header().Set("Content-Encoding", "gzip")
			packed := gzip.NewWriter(w)
			endless(packed, 8*longestAnswer)
			_ = packed.Close()
		case "/headers":
			for i := range 200 {
				w.Header().Add("X-Long", strings.Repeat("x", 1000+i))
			}
		}
	}))
	defer server.Close()
	client := providers.NewHTTPClient(providers.Dialer{}, nil, 0)
	defer client.CloseIdleConnections()
	if _, body, err := get(t, client, server.URL+"/most"); err != nil || len(body) != longestAnswer {
		t.Errorf("an answer of 8 MiB: got %d bytes, %v", len(body), err)
	}
	for _, path := range []string{"/more", "/bomb"} {
		if _, body, err := get(t, client, server.URL+path); !errors.Is(err, providers.ErrAnswerTooLong) || len(body) != longestAnswer {
			t.Errorf("%s: got %d bytes, %v", path, len(body), err)
		}
	}
	if _, _, err := get(t, client, server.URL+"/headers"); err == nil {
		t.Error("headers without end were taken")
	}
}

// An answer that does not come and one that does not end are given up.
func TestHTTPClientGivesUp(t *testing.T) {
	over := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			w.(http.Flusher).Flush()
		}
		<-over
	}))
	defer server.Close()
	defer close(over)
	client := providers.NewHTTPClient(providers.Dialer{}, nil, 50*time.Millisecond)
	defer client.CloseIdleConnections()
	for _, path := range []string{"/head", "/body"} {
		_, _, err := get(t, client, server.URL+path)
		var timeout interface{ Timeout() bool }
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("%s: got %v, want a time-out", path, err)
		}
	}
}

// It goes where it is told: by no proxy, after no redirect, and to no address that the dialer refuses.
func TestHTTPClientGoesNowhereElse(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("somebody else was asked") }))
	defer elsewhere.Close()
	t.Setenv("HTTP_PROXY", elsewhere.URL)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	there, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	dialer, err := providers.NewDialer(providers.DialerConfig{Resolve: func(_ context.Context, host string) ([]netip.Addr, error) {
		if host == "metadata.example" {
			return []netip.Addr{netip.MustParseAddr("169.254.169.254")}, nil
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	client := providers.NewHTTPClient(dialer, nil, 0)
	defer client.CloseIdleConnections()
	if answer, _, err := get(t, client, "http://api.example:"+there.Port()); err != nil || answer.StatusCode != http.StatusTemporaryRedirect {
		t.Errorf("a redirect: got %v, %v, want the redirect itself", answer, err)
	}
	if _, _, err := get(t, client, "http://metadata.example/latest"); !errors.Is(err, providers.ErrAddressRefused) {
		t.Errorf("a name that leads to the metadata service: got %v, want refused", err)
	}
}

// One TLS configuration may serve several clients at the same time.
func TestHTTPClientsShareTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	config := server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.NextProtos = nil
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			client := providers.NewHTTPClient(providers.Dialer{}, config, 0)
			defer client.CloseIdleConnections()
			if _, _, err := get(t, client, server.URL); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(config.NextProtos) > 0 {
		t.Errorf("the caller's configuration was changed: %v", config.NextProtos)
	}
	strict := providers.NewHTTPClient(providers.Dialer{}, &tls.Config{MinVersion: tls.VersionTLS12}, 0)
	defer strict.CloseIdleConnections()
	if _, _, err := get(t, strict, server.URL); err == nil {
		t.Error("a certificate of nobody's was believed")
	}
}
