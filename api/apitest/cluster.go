package apitest

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"broker/api/types"
	"broker/fsm"
)

// Cluster is a cluster whose leadership a test decides.
type Cluster struct {
	ID        string            // of the node that sees it
	Transport http.RoundTripper // to the leader; nil: nobody is there

	Others map[string]http.RoundTripper // to other members; who is not among them does not answer

	state *fsm.State

	mu        sync.Mutex
	leader    string
	meanwhile func() // see WhileWaiting
	losing    bool   // leadership is lost when the node has next been asked about it
	stale     time.Duration
	url       string
	wrong     error
}

// SetLeader makes a node the leader, or nobody.
func (c *Cluster) SetLeader(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leader = id
}

// SetStaleness makes the node say that it has not heard from a leader for so long.
func (c *Cluster) SetStaleness(age time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stale = age
}

// SetDiverged makes the node say that its state is wrong; nil: right.
func (c *Cluster) SetDiverged(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong = why
}

// Diverged returns what SetDiverged said.
func (c *Cluster) Diverged() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wrong
}

func (c *Cluster) setURL(url string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.url = url
}

// NodeID names the node.
func (c *Cluster) NodeID() string { return c.ID }

// LoseLeadership makes the node lead no more once LeaderReady has been called.
func (c *Cluster) LoseLeadership() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.losing = true
}

// LeaderReady reports whether the node leads.
func (c *Cluster) LeaderReady() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	leads := c.leader == c.ID
	if c.losing {
		c.losing, c.leader = false, ""
	}
	return leads
}

// ServeAsLeader is LeaderReady.
func (c *Cluster) ServeAsLeader(ctx context.Context) (context.Context, func(), bool) {
	return ctx, func() {}, c.LeaderReady()
}

// Ready is nil while there is a leader and the node's state is right.
func (c *Cluster) Ready() error {
	if _, _, ok := c.Leader(); !ok {
		return errors.New("there is no leader")
	}
	return c.Diverged()
}

// Leader names the leader.
func (c *Cluster) Leader() (string, string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leader, "", c.leader != ""
}

// ReadIndex returns the index of the state, which all nodes share.
func (c *Cluster) ReadIndex(context.Context) (uint64, error) {
	if _, _, ok := c.Leader(); !ok {
		return 0, errors.New("there is no leader")
	}
	return c.index()
}

func (c *Cluster) index() (index uint64, err error) {
	err = c.state.View(func(v *fsm.View) error {
		index = v.Meta().Index
		return nil
	})
	return index, err
}

// WhileWaiting has something happen in the midst of the next wait for a newer state.
func (c *Cluster) WhileWaiting(happens func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.meanwhile = happens
}

// WaitApplied waits for the index.
func (c *Cluster) WaitApplied(ctx context.Context, index uint64) error {
	c.mu.Lock()
	happens := c.meanwhile
	c.meanwhile = nil
	c.mu.Unlock()
	if happens != nil {
		happens()
	}
	for {
		have, err := c.index()
		if err != nil || have >= index {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

// Staleness returns what SetStaleness said; zero at the leader.
func (c *Cluster) Staleness() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stale
}

// Status describes the cluster.
func (c *Cluster) Status() types.Cluster {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status()
}

// ForwardTransport carries requests to the leader.
func (c *Cluster) ForwardTransport() http.RoundTripper {
	if c.Transport == nil {
		return RoundTrip(func(*http.Request) (*http.Response, error) { return nil, NotSent{} })
	}
	return c.Transport
}

// MemberTransport carries requests to another node.
func (c *Cluster) MemberTransport(id string) http.RoundTripper {
	if to := c.Others[id]; to != nil {
		return to
	}
	return RoundTrip(func(*http.Request) (*http.Response, error) { return nil, NotSent{} })
}

// NotSent is the error of a request that certainly did not reach the leader.
type NotSent struct{}

// Error says so.
func (NotSent) Error() string { return "not sent" }

// NotSent reports true.
func (NotSent) NotSent() bool { return true }

// RoundTrip is a transport that is a function.
type RoundTrip func(*http.Request) (*http.Response, error)

// RoundTrip calls the function.
func (f RoundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Forward returns a transport to a handler in the same process.
func Forward(handler http.Handler) http.RoundTripper {
	return RoundTrip(func(r *http.Request) (*http.Response, error) {
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, r)
		return recorder.Result(), nil
	})
}
