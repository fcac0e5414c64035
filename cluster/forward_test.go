package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"broker/cluster"
	"broker/cluster/clustertest"
)

// echo answers with who served, who forwarded, and the body.
func echo(node *clustertest.Node, cfg *cluster.Config) {
	cfg.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		from, ok := cluster.Forwarded(req.Context())
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, "%s %s %s by %s for %s (%t) spoofed %q", req.Method, req.URL.RequestURI(), body, node.ID, from, ok,
			req.Header.Get("Broker-Forwarded-By"))
	})
}

func forward(ctx context.Context, n *clustertest.Node, path, body string) (status int, answer string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://any.example"+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Broker-Forwarded-By", "somebody")
	res, err := n.Live().ForwardTransport().RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	return res.StatusCode, string(data), err
}

func notSent(err error) bool {
	var e interface{ NotSent() bool }
	return errors.As(err, &e) && e.NotSent()
}

func TestForwardReachesTheLeader(t *testing.T) {
	c := clustertest.New(t, 3, &clustertest.Options{Configure: echo})
	leader := c.WaitLeader()
	for _, n := range c.Followers(leader) {
		status, answer, err := forward(within(t, time.Minute), n, "/api/v1/x?y=z", "body")
		want := fmt.Sprintf("POST /api/v1/x?y=z body by %s for %s (true) spoofed %q", leader.ID, n.ID, "")
		if err != nil || status != http.StatusCreated || answer != want {
			t.Errorf("from %s: %d %q %v, want %q", n.ID, status, answer, err, want)
		}
	}
	// Whatever path a client makes up, it comes to the handler, never to the nodes' own questions.
	for _, path := range []string{"/internal/join", "/internal/node", "/internal/read-index", "/admit", "//internal/join"} {
		status, answer, err := forward(within(t, 10*time.Second), c.Followers(leader)[0], path, `{"node_id":"evil","address":"127.0.0.1:9"}`)
		if err != nil || status != http.StatusCreated || !strings.Contains(answer, "by "+leader.ID) {
			t.Errorf("%s: %d %q %v", path, status, answer, err)
		}
	}
	if _, _, err := forward(within(t, 10*time.Second), leader, "/", ""); !errors.Is(err, cluster.ErrNoLeader) || !notSent(err) {
		t.Errorf("on the leader: got %v, want nobody to forward to", err)
	}
}

// A request for one member comes to that one, whoever leads.
func TestForwardToMember(t *testing.T) {
	c := clustertest.New(t, 3, &clustertest.Options{Configure: echo})
	leader := c.WaitLeader()
	send := func(from *clustertest.Node, to string) (string, error) {
		req, err := http.NewRequestWithContext(within(t, time.Minute), http.MethodGet, "http://any.example/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Broker-Forwarded-To", "somebody")
		res, err := from.Live().MemberTransport(to).RoundTrip(req)
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		data, err := io.ReadAll(res.Body)
		return string(data), err
	}
	for _, from := range c.Nodes {
		for _, to := range c.Nodes {
			got, err := send(from, to.ID)
			if from == to {
				if !errors.Is(err, cluster.ErrNoMember) || !notSent(err) {
					t.Errorf("%s to itself: %v", from.ID, err)
				}
				continue
			}
			if want := fmt.Sprintf("GET /x  by %s for %s (true) spoofed %q", to.ID, from.ID, ""); err != nil || got != want {
				t.Errorf("%q, %v, want %q", got, err, want)
			}
		}
	}
	if _, err := send(leader, "n9"); !errors.Is(err, cluster.ErrNoMember) || !notSent(err) {
		t.Errorf("to nobody: %v", err)
	}
	// What the client says of whom it is for does not lead past the leader.
	for _, n := range c.Followers(leader) {
		req, err := http.NewRequestWithContext(within(t, time.Minute), http.MethodGet, "http://any.example/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Broker-Forwarded-To", n.ID)
		res, err := n.Live().ForwardTransport().RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || !strings.Contains(string(data), "by "+leader.ID) {
			t.Errorf("%q, %v", data, err)
		}
	}
	c.Isolate(c.Followers(leader)[0])
	if _, err := send(leader, c.Followers(leader)[0].ID); err == nil {
		t.Error("a node that is cut off answered")
	}
}

func TestForwardedIsFalseElsewhere(t *testing.T) {
	if from, ok := cluster.Forwarded(t.Context()); ok {
		t.Errorf("forwarded by %q", from)
	}
}

func TestForwardWithoutLeader(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, 3, &clustertest.Options{Configure: echo})
	follower := c.Followers(c.WaitLeader())[0]
	c.Isolate(follower)
	// At once the leader cannot be reached, later none is known any more.
	clustertest.Eventually(t, "the leader to be forgotten", func() bool {
		_, _, err := forward(within(t, 5*time.Second), follower, "/", "")
		if !errors.Is(err, cluster.ErrNoLeader) || !notSent(err) {
			t.Fatalf("got %v, want no leader and not sent", err)
		}
		_, _, known := follower.Live().Leader()
		return !known
	})
	c.Heal()
	clustertest.Eventually(t, "forwarding to work again", func() bool {
		_, _, err := forward(within(t, 5*time.Second), follower, "/", "")
		return err == nil
	})
}

// Once the leader's handler has the request, losing the connection leaves open
// what it did.
func TestForwardCutWhileServed(t *testing.T) {
	t.Parallel()
	var serving atomic.Int32
	c := clustertest.New(t, 3, &clustertest.Options{Configure: func(_ *clustertest.Node, cfg *cluster.Config) {
		cfg.Handler = http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
			serving.Add(1)
			<-req.Context().Done()
		})
	}})
	leader := c.WaitLeader()
	follower := c.Followers(leader)[0]
	failed := make(chan error, 1)
	go func() {
		_, _, err := forward(t.Context(), follower, "/", "x")
		failed <- err
	}()
	clustertest.Eventually(t, "the handler to have the request", func() bool { return serving.Load() == 1 })
	c.Isolate(leader)
	err := <-failed
	if err == nil || notSent(err) {
		t.Errorf("got %v, want an error that leaves open whether it was sent", err)
	}
	if got := serving.Load(); got != 1 {
		t.Errorf("served %d times", got)
	}
}

// A node that is asked as leader but does not lead refuses in a way that is
// known to have done nothing.
func TestForwardToFormerLeaderIsNotSent(t *testing.T) {
	var served atomic.Int32
	c := clustertest.New(t, 3, &clustertest.Options{Configure: func(_ *clustertest.Node, cfg *cluster.Config) {
		cfg.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served.Add(1) })
	}})
	var sent int32
	for range 4 {
		leader := c.WaitLeader()
		follower := c.Followers(leader)[0]
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = leader.Live().TransferLeadership(t.Context(), "")
		}()
		for moving := true; moving; {
			select {
			case <-done:
				moving = false
			default:
			}
			_, _, err := forward(within(t, 5*time.Second), follower, "/", "x")
			if !notSent(err) {
				sent++
			}
		}
	}
	if got := served.Load(); got != sent {
		t.Errorf("the handlers saw %d requests, %d were not said to be unsent", got, sent)
	}
}
