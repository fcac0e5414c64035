package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"broker/api/client"
	"broker/api/types"
)

// patience is how long a client of the crew waits for one request.
const patience = 2500 * time.Millisecond

// crew is clients beside the nodes that do everything with leases that can be done, and write down what they see.
// Each asks one node, except that an issue of unknown outcome is repeated at the others, and that sessions go round.
type crew struct {
	*history
	t         *testing.T
	addresses []string
	token     string
	transport []*http.Transport // by node
	stop      func()

	mu   sync.Mutex
	pool []string // leases, the newest last
}

// hire starts the crew. It dials from the last host.
func hire(t *testing.T, w *town, nodes int) *crew {
	t.Helper()
	c := &crew{history: &history{began: time.Now()}, t: t, token: w.token}
	roots := x509.NewCertPool()
	_, fingerprint, _ := strings.Cut(w.login, "--ca-fingerprint ")
	outside := len(w.names) - 1
	for i := range nodes {
		address := "https://" + w.address(i) + ":8420"
		var authority client.Authority
		err := w.inside(outside, func() (err error) {
			authority, err = client.FetchAuthority(t.Context(), address, fingerprint)
			return err
		})
		if err != nil || !roots.AppendCertsFromPEM(authority.PEM) {
			t.Fatalf("asking %s for its authority: %v", address, err)
		}
		c.addresses = append(c.addresses, address)
		transport := &http.Transport{
			DialContext: w.dialer(outside), TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13},
			ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 16,
		}
		t.Cleanup(transport.CloseIdleConnections)
		c.transport = append(c.transport, transport)
	}
	return c
}

// client returns a client of one node.
func (c *crew) client(node int) *client.Client {
	c.t.Helper()
	out, err := client.New(client.Config{Addresses: []string{c.addresses[node]}, Token: c.token, Transport: c.transport[node], Timeout: 30 * time.Second})
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

// clients returns a client of each node.
func (c *crew) clients() (out []*client.Client) {
	c.t.Helper()
	for node := range c.addresses {
		out = append(out, c.client(node))
	}
	return out
}

// work has the crew begin.
func (c *crew) work() {
	ctx, cancel := context.WithCancel(c.t.Context())
	var running sync.WaitGroup
	c.stop = func() {
		cancel()
		running.Wait()
	}
	for node := range c.addresses {
		for _, job := range []struct {
			name  string
			pause time.Duration
			do    func(ctx context.Context, name string, node, turn int, clients []*client.Client)
		}{
			{"issuer", 150 * time.Millisecond, c.issue},
			{"tender", 60 * time.Millisecond, c.tend},
			{"reader", 40 * time.Millisecond, c.read},
		} {
			clients := c.clients()
			name := fmt.Sprintf("%s%d", job.name, node+1)
			running.Go(func() {
				tick := time.NewTicker(job.pause)
				defer tick.Stop()
				for turn := 0; ctx.Err() == nil; turn++ {
					<-tick.C
					job.do(ctx, name, node, turn, clients)
				}
			})
		}
	}
}

// issue has a lease made, most of them short ones, and repeats the request elsewhere until its outcome is known.
func (c *crew) issue(ctx context.Context, name string, node, turn int, clients []*client.Client) {
	key := fmt.Sprintf("%s-%d", name, turn)
	ttl := types.Duration(2*time.Second + rand.N(4*time.Second).Truncate(time.Second))
	if turn%3 == 0 {
		ttl = types.Duration(time.Hour)
	}
	ask := func(node int) deed {
		return c.attempt(ctx, deed{verb: issuing, client: name, node: node, key: key}, func(ctx context.Context, d *deed) error {
			issued, err := clients[node].IssueLease(ctx, secretName, types.IssueSpec{TTL: &ttl}, client.WithIdempotencyKey(key))
			d.lease, d.seen = issued.Lease.ID, issued.Lease
			d.values = value(issued, "DB_USER") + " " + value(issued, "DB_PASSWORD")
			return err
		})
	}
	if turn%8 == 1 { // at two nodes at the same time
		var other sync.WaitGroup
		other.Go(func() { c.publish(ask((node + 1) % len(clients))) })
		defer other.Wait()
	}
	for ctx.Err() == nil {
		d := ask(node)
		c.publish(d)
		if d.outcome != wasUnknown {
			return
		}
		node = (node + 1) % len(clients)
	}
}

// press has many more clients issue at all nodes, without a pause, until the function it returns is called.
func (c *crew) press(clients int) (relieve func()) {
	ctx, cancel := context.WithCancel(c.t.Context())
	var running sync.WaitGroup
	for i := range clients {
		name, node, all := fmt.Sprintf("presser%d", i+1), i%len(c.addresses), c.clients()
		running.Go(func() {
			for turn := 1; ctx.Err() == nil; turn += 3 { // short leases only
				c.issue(ctx, name, node, turn, all)
			}
		})
	}
	return func() {
		cancel()
		running.Wait()
	}
}

// tend renews or revokes a lease and reads it elsewhere in the same session.
func (c *crew) tend(ctx context.Context, name string, node, turn int, clients []*client.Client) {
	lease := c.pick()
	if lease == "" {
		return
	}
	if turn%5 == 4 {
		c.attempt(ctx, deed{verb: revoking, client: name, node: node, lease: lease}, func(ctx context.Context, d *deed) (err error) {
			d.seen, err = clients[node].RevokeLease(ctx, lease, types.RevokeSpec{})
			return err
		})
	} else if turn%5 < 3 {
		until := time.Now().Add(time.Second + rand.N(4*time.Second)).UTC().Truncate(time.Millisecond)
		c.attempt(ctx, deed{verb: renewing, client: name, node: node, lease: lease, until: until}, func(ctx context.Context, d *deed) (err error) {
			d.seen, err = clients[node].RenewLease(ctx, lease, types.RenewSpec{Until: until.Format(time.RFC3339Nano)})
			return err
		})
	}
	var index uint64
	for _, one := range clients {
		index = max(index, one.Index())
	}
	elsewhere := rand.N(len(clients))
	c.attempt(ctx, deed{verb: reading, mode: types.Session, client: name, node: elsewhere, lease: lease}, func(ctx context.Context, d *deed) (err error) {
		d.seen, err = clients[elsewhere].GetLease(ctx, lease, client.MinIndex(index))
		return err
	})
}

// read looks a lease up, now and then without waiting for anybody.
func (c *crew) read(ctx context.Context, name string, node, turn int, clients []*client.Client) {
	lease, mode := c.pick(), types.Linearizable
	if lease == "" {
		return
	}
	if turn%4 == 3 {
		mode = types.Stale
	}
	c.attempt(ctx, deed{verb: reading, mode: mode, client: name, node: node, lease: lease}, func(ctx context.Context, d *deed) (err error) {
		d.seen, err = clients[node].GetLease(ctx, lease, client.WithConsistency(mode))
		return err
	})
}

// attempt makes one request and records it.
func (c *crew) attempt(ctx context.Context, d deed, call func(context.Context, *deed) error) deed {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	d.call = c.now()
	err := call(ctx, &d)
	return c.record(d, err)
}

// contested is how many of the newest leases the crew busies itself with.
const contested = 16

func (c *crew) publish(d deed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d.outcome == wasDone && !slices.Contains(c.pool, d.lease) {
		c.pool = append(c.pool, d.lease)
		c.pool = c.pool[max(0, len(c.pool)-contested):]
	}
}

func (c *crew) pick() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pool) == 0 {
		return ""
	}
	return c.pool[rand.N(len(c.pool))]
}

// terms returns the term that each node is in.
func (c *crew) terms() (terms []uint64, leader string) {
	c.t.Helper()
	for node, one := range c.clients() {
		ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
		status, err := one.GetClusterAt(ctx, c.addresses[node])
		cancel()
		if err != nil {
			c.t.Fatalf("asking node %d how the cluster is: %v", node+1, err)
		}
		terms = append(terms, status.Term)
		if status.Leader == status.Node {
			leader = status.Node
		}
	}
	return terms, leader
}
