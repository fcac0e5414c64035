package cluster

import (
	"errors"
	"fmt"
	"net/http"
)

// MemberTransport returns a transport that sends a request to one member, whether that leads or not, whatever host the
// request names. The member's handler has to refuse what only a leader may do. Its errors are of type *ForwardError and wrap
// ErrNoMember when there is no such member, or it is this node; the method NotSent tells whether the request
// certainly never reached the member's handler.
func (n *Node) MemberTransport(id string) http.RoundTripper { return memberTransport{n, id} }

type memberTransport struct {
	n  *Node
	id string
}

func (t memberTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	n := t.n
	if n.raft.Load() == nil || n.lifetime.Err() != nil {
		return unsent(req, ErrStopped)
	}
	member, ok := n.member(t.id)
	if !ok {
		return unsent(req, fmt.Errorf("%w %q", ErrNoMember, t.id))
	}
	if t.id == n.NodeID() {
		return unsent(req, fmt.Errorf("%w %q elsewhere: it is this node", ErrNoMember, t.id))
	}
	out := n.addressed(req.Clone(req.Context()), string(member.Address))
	out.Header.Set(headerForwardedTo, t.id)
	res, err := n.client.RoundTrip(out)
	if err != nil {
		var dial *dialError
		return nil, &ForwardError{Unsent: errors.As(err, &dial), Err: err}
	}
	if reason := res.Header.Get(headerRefused); reason != "" {
		_ = res.Body.Close()
		return nil, &ForwardError{Unsent: true, Err: fmt.Errorf("asking node %q: %s", t.id, reason)}
	}
	return res, nil
}
