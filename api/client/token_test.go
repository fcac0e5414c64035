package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"broker/api/client"
	"broker/api/client/clienttest"
)

// expiring is a broker that takes one token.
type expiring struct{ good string }

func (e expiring) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Authorization") != "Bearer "+e.good {
		return clienttest.Problem(401, "unauthenticated", nil)
	}
	return clienttest.Answer(200, map[string]string{"id": "L1"})
}

// TestRefresh: a token that is refused is exchanged, once for all calls that it failed.
func TestRefresh(t *testing.T) {
	var asked atomic.Int64
	c, err := client.New(client.Config{
		Addresses: []string{"http://127.0.0.1:1"}, Token: "brk_the-former", Transport: expiring{"brk_the-latter"},
		Refresh: func(context.Context) (string, error) { asked.Add(1); return "brk_the-latter", nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	var calls sync.WaitGroup
	for range 20 {
		calls.Go(func() {
			if _, err := c.GetLease(t.Context(), "L1"); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	if asked.Load() != 1 {
		t.Errorf("asked %d times for another token", asked.Load())
	}
}

// TestRefreshFails: the call fails with why, which does not hold a token, and with the refusal when the new token is
// refused too.
func TestRefreshFails(t *testing.T) {
	config := client.Config{Addresses: []string{"http://127.0.0.1:1"}, Token: "brk_the-former", Transport: expiring{"brk_another"}}
	config.Refresh = func(context.Context) (string, error) { return "", errors.New("no more brk_the-former") }
	c, err := client.New(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.GetLease(t.Context(), "L1"); err == nil || !strings.Contains(err.Error(), "getting another token: no more [redacted]") {
		t.Errorf("got %v", err)
	}
	config.Refresh = func(context.Context) (string, error) { return "brk_no-better", nil }
	if c, err = client.New(config); err != nil {
		t.Fatal(err)
	}
	if _, err := c.GetLease(t.Context(), "L1"); client.Code(err) != "unauthenticated" {
		t.Errorf("got %v", err)
	}
}

func ExampleClient_Keep() {
	c, err := client.New(client.Config{Addresses: []string{"https://b1.example:8420"}, Token: "…"})
	if err != nil {
		return
	}
	keeper, err := c.Keep(context.Background(), client.KeepConfig{
		Secret: "payments/production/orders-ro",
		Notify: func(e client.KeepEvent) { fmt.Println(e.Kind, e.Lease.ID, e.Err) },
	})
	if err != nil {
		return
	}
	defer keeper.Close() // revokes it

	logIn := func(user, password string) {}
	logIn(keeper.Value("DB_USER"), keeper.Value("DB_PASSWORD")) // whenever you connect: they change
}
