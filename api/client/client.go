package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"broker/api/types"
)

// Config says how to reach a broker.
type Config struct {
	// Addresses are URLs or host:port of any nodes. At least one is needed. Without a scheme,
	// loopback is plain HTTP and everything else HTTPS; plain HTTP off loopback is refused.
	Addresses []string

	// Token is the bearer token. Empty: only public routes answer.
	Token string

	// Refresh gets another token when the broker does not take the present one any more; the call is made once
	// more then. It is called by one caller at a time, and must not use this client. Nil: calls fail as
	// unauthenticated.
	Refresh func(ctx context.Context) (string, error)

	// CACert is a PEM file's content with the CAs to trust besides the system's. Empty: the system's.
	CACert []byte

	// Timeout bounds a call with all its tries when its context has no earlier deadline. Zero: 30 s.
	Timeout time.Duration

	// RetryPause is the first pause between two rounds over all addresses; it doubles with each
	// round up to 20 times that. Zero: 100 ms.
	RetryPause time.Duration

	// StreamSilence is after how long without a word a stream of events is taken for dead. Zero: 45 s, three
	// of the broker's heartbeats.
	StreamSilence time.Duration

	// Consistency is what reads ask for unless a call says otherwise. Empty: linearizable.
	Consistency types.Consistency

	// MaxStale bounds how old an answer may be where Consistency is stale. Zero: however old.
	MaxStale time.Duration

	// UserAgent names the program in the broker's history. Empty: "broker-client".
	UserAgent string

	// Transport makes the HTTP calls. Nil: one of the client's own, with the CAs above.
	Transport http.RoundTripper
}

// Format writes the configuration without its token, for every verb.
func (c Config) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "client.Config{Addresses:%q Token:[redacted]}", c.Addresses)
}

// Client calls a broker. It is safe for concurrent use.
type Client struct {
	config    Config
	addresses []string
	http      *http.Client
	tokens    tokens
	preferred atomic.Int64  // position in addresses of the node that answered last
	index     atomic.Uint64 // newest log index seen in an answer
}

// New returns a client. It makes no call.
func New(config Config) (*Client, error) {
	if len(config.Addresses) == 0 {
		return nil, errors.New("no address of a broker is given")
	}
	var addresses []string
	for _, address := range config.Addresses {
		normal, err := NormalAddress(address)
		if err != nil {
			return nil, err
		}
		addresses = append(addresses, normal)
	}
	if config.Timeout <= 0 {
		config.Timeout = 30 * time.Second
	}
	if config.RetryPause <= 0 {
		config.RetryPause = 100 * time.Millisecond
	}
	if config.StreamSilence <= 0 {
		config.StreamSilence = 45 * time.Second
	}
	if config.UserAgent == "" {
		config.UserAgent = "broker-client"
	}
	transport := config.Transport
	if transport == nil {
		own, err := newTransport(config.CACert)
		if err != nil {
			return nil, err
		}
		transport = own
	}
	return &Client{
		config:    config,
		addresses: addresses,
		tokens:    tokens{current: config.Token},
		http: &http.Client{
			Transport: transport,
			// A redirect could carry the token to a host nobody named.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

func newTransport(caCert []byte) (*http.Transport, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(caCert) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(caCert) {
			return nil, errors.New("the CA file holds no PEM certificate")
		}
		config.RootCAs = pool
	}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
		TLSClientConfig:     config,
		TLSHandshakeTimeout: 5 * time.Second,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 16,
		IdleConnTimeout:     60 * time.Second,
	}, nil
}

// Addresses returns the addresses that the client tries, as URLs.
func (c *Client) Addresses() []string { return append([]string(nil), c.addresses...) }

// Index returns the newest log index that an answer carried; session reads see at least its state.
func (c *Client) Index() uint64 { return c.index.Load() }

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func (c *Client) sawIndex(index uint64) {
	for {
		old := c.index.Load()
		if index <= old || c.index.CompareAndSwap(old, index) {
			return
		}
	}
}
