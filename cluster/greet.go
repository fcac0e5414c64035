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

// Greet asks the node at a cluster address who it is, as somebody who wants to join would; a nil network is
// plain TCP. It changes nothing there.
func Greet(ctx context.Context, network Network, address string) (Greeting, error) {
	if network == nil {
		network = PlainTCP{}
	}
	client := &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			return network.Dial(ctx, address, ProtocolJoin, "")
		},
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

// ReadIdentity returns which node of which cluster a data directory belongs to; empty when to none yet. It
// returns an error wrapping ErrIdentity when that cannot be read.
func ReadIdentity(dir string) (nodeID, clusterID string, err error) {
	id, _, err := readIdentity(dir)
	return id.NodeID, id.ClusterID, err
}
