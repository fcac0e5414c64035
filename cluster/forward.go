package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// headerForwardedBy names the node a request was forwarded by. It means
	// something on the forward protocol only.
	headerForwardedBy = "Broker-Forwarded-By"
	// headerForwardedTo names the node that a request is for, whether it leads or not; without it it is for the leader.
	headerForwardedTo = "Broker-Forwarded-To"
	// headerRefused marks an answer given instead of the handler's.
	headerRefused = "Broker-Forward-Refused"

	// maxForwards is how many requests of one node are under way to another at a time.
	maxForwards = 1000
	// idleTimeout is how long a connection stays open without a request.
	idleTimeout = 5 * time.Minute
)

// maxRefusedBody is how much of a request is read that is refused.
const maxRefusedBody = 2 << 20

// maxIdleForwards is how many connections to the leader are kept for requests to come.
const maxIdleForwards = 256

// ForwardTransport returns a transport that sends a request to the current
// leader, whatever host the request names, over pooled connections. A request
// is given up when its leader leads no more and does not answer soon after. Its
// errors are of type *ForwardError and wrap ErrNoLeader when there was no
// leader to send to; the method NotSent tells whether the request certainly
// never reached the leader's handler. On the leader itself it returns an error
// wrapping ErrNoLeader too: the caller serves such a request itself.
func (n *Node) ForwardTransport() http.RoundTripper { return forwardTransport{n} }

type forwardTransport struct{ n *Node }

func (t forwardTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	n := t.n
	if n.raft.Load() == nil || n.lifetime.Err() != nil {
		return unsent(req, ErrStopped)
	}
	address, id, ok := n.leaderAddr()
	if !ok {
		return unsent(req, ErrNoLeader)
	}
	if id == n.NodeID() {
		return unsent(req, fmt.Errorf("%w elsewhere: it is this node", ErrNoLeader))
	}

	n.noteLeader(n.raft.Load()) // the news of it may be on its way
	ctx, done := n.reigns.during(req.Context(), raft.ServerID(id))
	out := n.addressed(req.Clone(ctx), address)
	out.Header.Del(headerForwardedTo)
	res, err := n.client.RoundTrip(out)
	if err != nil {
		done()
		var dial *dialError
		if errors.As(err, &dial) {
			return nil, &ForwardError{Unsent: true, Err: fmt.Errorf("%w: %w", ErrNoLeader, err)}
		}
		return nil, &ForwardError{Err: err}
	}
	if reason := res.Header.Get(headerRefused); reason != "" {
		_ = res.Body.Close()
		done()
		return nil, &ForwardError{Unsent: true, Err: fmt.Errorf("%w: %s", ErrNoLeader, reason)}
	}
	res.Body = &forwardedBody{res.Body, done}
	return res, nil
}

// unsent gives a request up that was not sent.
func unsent(req *http.Request, err error) (*http.Response, error) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
	return nil, &ForwardError{Unsent: true, Err: err}
}

// addressed has a request go to the node at a cluster address.
func (n *Node) addressed(req *http.Request, address string) *http.Request {
	req.URL.Scheme, req.URL.Host = "http", address
	req.Header.Set(headerForwardedBy, n.NodeID())
	return req
}

// forwardedBody is an answer's body that lets go of the request's context at its end.
type forwardedBody struct {
	io.ReadCloser
	done context.CancelFunc
}

// Close ends the request.
func (b *forwardedBody) Close() error {
	defer b.done()
	return b.ReadCloser.Close()
}

// dialError is a connection that did not come about.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

func (n *Node) dialForward(ctx context.Context, address string) (net.Conn, error) {
	return n.dial(ctx, address, ProtocolForward)
}

// newPeerClient returns the HTTP/2 client for the nodes' own questions.
func (n *Node) newPeerClient() *http.Transport {
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	return &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			return n.dial(ctx, address, ProtocolPeer)
		},
		Protocols: &protocols,
		HTTP2: &http.HTTP2Config{
			// A connection into a partition looks open for a long time.
			SendPingTimeout:  n.cfg.Timing.RPC,
			PingTimeout:      n.cfg.Timing.RPC,
			WriteByteTimeout: n.cfg.Timing.RPC,
		},
	}
}

func (n *Node) dial(ctx context.Context, address, protocol string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Timing.RPC)
	defer cancel()
	defer context.AfterFunc(n.lifetime, cancel)()
	conn, err := n.cfg.Network.Dial(ctx, address, protocol, n.self.Load().clusterID)
	if err == nil {
		conn, err = n.clientConns.track(conn)
	}
	if err != nil {
		return nil, &dialError{fmt.Errorf("connecting to %s: %w", address, err)}
	}
	return conn, nil
}

type forwardedKey struct{}

// Forwarded reports whether the request with this context came from another
// node, and from which. Such a request must not be forwarded again.
func Forwarded(ctx context.Context) (fromNode string, ok bool) {
	fromNode, ok = ctx.Value(forwardedKey{}).(string)
	return fromNode, ok
}

// serveForwarded has the configured handler answer what another node forwards.
func (n *Node) serveForwarded(ctx context.Context, w http.ResponseWriter, req *http.Request) {
	from := req.Header.Get(headerForwardedBy)
	req.Header.Del(headerForwardedBy)
	req.Header.Del(headerForwardedTo)
	n.cfg.Handler.ServeHTTP(w, req.WithContext(context.WithValue(ctx, forwardedKey{}, from)))
}

// forwardServer answers what clients asked other nodes, by the configured handler if this node leads or is the one meant.
func (n *Node) forwardServer() *http.Server {
	return n.newServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		// Refusals are told apart from the handler's own answers, so that the
		// other node knows nothing has been done.
		refuse := func(why string) {
			// Who is still writing a long request would see its connection break instead of the refusal.
			_, _ = io.Copy(io.Discard, io.LimitReader(req.Body, maxRefusedBody))
			w.Header().Set(headerRefused, why)
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		if to := req.Header.Get(headerForwardedTo); to == n.NodeID() {
			n.serveForwarded(req.Context(), w, req)
			return
		} else if to != "" {
			refuse("the node asked is not the one that was meant")
			return
		}
		ctx, done, ok := n.ServeAsLeader(req.Context())
		if !ok {
			refuse("the node asked does not lead, or hands over")
			return
		}
		defer done()
		n.serveForwarded(ctx, w, req)
	}))
}

// peerServer answers the other nodes' own questions. It has a protocol of its own: whatever path a
// client makes up, a forwarded request never comes here.
func (n *Node) peerServer() *http.Server {
	mux := http.NewServeMux()
	n.handleInternal(mux)
	s := n.newServer(mux)
	s.Protocols = new(http.Protocols)
	s.Protocols.SetUnencryptedHTTP2(true)
	s.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: maxForwards}
	return s
}

func (n *Node) newServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if !n.handlers.enter() {
				panic(http.ErrAbortHandler)
			}
			defer n.handlers.leave()
			handler.ServeHTTP(w, req)
		}),
		BaseContext:       func(net.Listener) context.Context { return n.lifetime },
		ConnContext:       withPeer,
		ReadHeaderTimeout: n.cfg.Timing.RPC,
		IdleTimeout:       idleTimeout,
		ErrorLog:          log.New(io.Writer(&lineWriter{out: n.log.With("server", "cluster")}), "", 0),
	}
}

// serve lets s answer the connections of one protocol until it is shut down.
func (n *Node) serve(protocol string, s *http.Server) {
	n.servers = append(n.servers, s)
	l := n.port.Protocol(protocol)
	n.workers.Go(func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			n.log.Error("serving other nodes ended", "protocol", protocol, "error", err)
		}
	})
}

// leaderAddr returns the leader's cluster address and id.
func (n *Node) leaderAddr() (address, id string, ok bool) {
	r := n.raft.Load()
	if r == nil {
		return "", "", false
	}
	leaderAddress, leaderID := r.LeaderWithID()
	if leaderID == "" || leaderAddress == "" || r.State() == raft.Shutdown {
		return "", "", false
	}
	return string(leaderAddress), string(leaderID), true
}
