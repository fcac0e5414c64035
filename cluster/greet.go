package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Greeting is what a node tells a stranger.
type Greeting struct {
	ClusterID string
	// At is its clock, exact to a second; zero when it did not say.
	At time.Time
}

// Greet asks the node at a cluster address who it is, and changes nothing there. dial connects to it over
// ProtocolJoin: as a member does, or as a stranger with a join token.
func Greet(ctx context.Context, dial func(ctx context.Context, address string) (net.Conn, error), address string) (Greeting, error) {
	client := &http.Transport{
		DialContext:       func(ctx context.Context, _, address string) (net.Conn, error) { return dial(ctx, address) },
		DisableKeepAlives: true,
	}
	defer client.CloseIdleConnections()
	heard := dated{inner: client}
	var hello helloAnswer
	if err := callOver(ctx, &heard, address, pathHello, nil, &hello); err != nil {
		return Greeting{}, fmt.Errorf("asking %s: %w", address, err)
	}
	if hello.ClusterID == "" {
		return Greeting{}, fmt.Errorf("asking %s: %w", address, errors.New("it does not know its cluster"))
	}
	return Greeting{ClusterID: hello.ClusterID, At: heard.at}, nil
}

// dated keeps the time that an answer was given.
type dated struct {
	inner http.RoundTripper
	at    time.Time
}

func (d *dated) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := d.inner.RoundTrip(req)
	if err == nil {
		if at, err := http.ParseTime(res.Header.Get("Date")); err == nil {
			d.at = at
		}
	}
	return res, err
}

// CheckIdentity returns an error wrapping ErrIdentity when what a data directory says of its node and cluster cannot
// be read, or names others than these; empty ones agree with everything.
func CheckIdentity(dir, nodeID, clusterID string) error {
	id, known, err := readIdentity(dir)
	if err != nil || !known {
		return err
	}
	if id.RemovedAt != nil {
		return removedError(dir, *id.RemovedAt)
	}
	return checkIdentity(dir, id, nodeID, clusterID)
}
