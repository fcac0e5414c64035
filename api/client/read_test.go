package client_test

import (
	"context"
	"testing"
	"time"

	"broker/api/client"
	"broker/api/types"
)

// A client's own bound of staleness goes with its stale reads.
func TestMaxStaleOfAClient(t *testing.T) {
	n := start(t, succeed)
	c, err := client.New(client.Config{Addresses: []string{n.URL}, Token: token, Consistency: types.Stale, MaxStale: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if _, err := c.GetLease(context.Background(), "01X"); err != nil {
		t.Fatal(err)
	}
	if seen, _ := n.requests(); seen[0].URL.RawQuery != "consistency=stale&max_stale=5s" {
		t.Errorf("asked for %s", seen[0].URL)
	}
}
