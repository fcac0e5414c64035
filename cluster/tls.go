package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"broker/cluster/trust"
)

// TLS is a Network whose connections are encrypted and whose members know each other: TLS 1.3, both sides
// with a certificate, the protocol in ALPN. Only ProtocolJoin is spoken with strangers.
//
// A member's certificate is judged after the handshake, inside the encrypted connection, and the judgement is
// sent as a sentence: with TLS's own alerts a node that was removed would learn that something is bad.
type TLS struct {
	identity *trust.Identity
	now      func() time.Time
	removed  func()

	mu        sync.Mutex
	open      map[*memberConn]struct{} // accepted and not closed
	strangers map[netip.Prefix]int     // of them, those that want to join: how many from each host
	waiting   int                      // and all in all
}

// How many strangers may be connected: all in all, and from one host.
const (
	maxStrangers     = 64
	maxStrangersEach = 8
)

// NewTLS returns the network of the node with this identity. now is the clock of this machine; nil is time.Now.
// removed is called, perhaps often, when another member says that this node was removed; nil does nothing.
func NewTLS(identity *trust.Identity, now func() time.Time, removed func()) *TLS {
	if now == nil {
		now = time.Now
	}
	if removed == nil {
		removed = func() {}
	}
	return &TLS{identity: identity, now: now, removed: removed, open: make(map[*memberConn]struct{}), strangers: make(map[netip.Prefix]int)}
}

// DialPinned connects to a node whose cluster is known by its authority's fingerprint only, to speak
// ProtocolJoin. It returns an error wrapping trust.ErrStranger when the node belongs to another one.
func DialPinned(ctx context.Context, address string, authority trust.Fingerprint, now time.Time) (net.Conn, error) {
	config := &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{ProtocolJoin},
		// VerifyConnection looks closer.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			_, _, err := trust.VerifyPinned(state.PeerCertificates, authority, now)
			return err
		},
	}
	conn, err := dialTLS(ctx, address, config)
	if err != nil {
		return nil, err // and no *tls.Conn that is nil
	}
	return conn, nil
}

// Dial connects as a member to a member.
func (t *TLS) Dial(ctx context.Context, address, protocol, clusterID string) (net.Conn, error) {
	var peer string
	config := &tls.Config{
		MinVersion:         tls.VersionTLS13,
		NextProtos:         []string{protocol},
		InsecureSkipVerify: true, // VerifyConnection looks closer
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return t.identity.Certificate(), nil
		},
		VerifyConnection: func(state tls.ConnectionState) (err error) {
			peer, err = t.member(state)
			return err
		},
	}
	conn, err := dialTLS(ctx, address, config)
	if err != nil {
		if errors.Is(err, ErrRemoved) {
			t.removed()
		}
		return nil, fmt.Errorf("opening %s at %s: %w", protocol, address, err)
	}
	return &memberConn{Conn: conn, peer: peer}, nil
}

// dialTLS connects, shakes hands and reads the other side's verdict.
func dialTLS(ctx context.Context, address string, config *tls.Config) (*tls.Conn, error) {
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, config)
	deadline := time.Now().Add(greetingTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	err = raw.SetDeadline(deadline)
	if err == nil {
		err = conn.HandshakeContext(ctx)
	}
	if err == nil {
		err = verdict(conn)
	}
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		err = raw.SetDeadline(time.Time{})
	}
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	return conn, nil
}

// member says which member the other side is.
func (t *TLS) member(state tls.ConnectionState) (string, error) {
	if len(state.PeerCertificates) == 0 {
		return "", fmt.Errorf("%w: it shows none", trust.ErrStranger)
	}
	peer, err := t.identity.Verify(state.PeerCertificates[0], t.now())
	if errors.Is(err, trust.ErrForeign) {
		return "", fmt.Errorf("%w: %w", ErrForeignCluster, err)
	}
	return peer, err
}

// Listen opens address for members, and for those who want to become one.
func (t *TLS) Listen(address, _ string) (Port, error) {
	return listenSorting(address, t.greet)
}

// greet shakes hands with whoever connects.
func (t *TLS) greet(raw net.Conn) (net.Conn, string, error) {
	if err := raw.SetDeadline(time.Now().Add(greetingTimeout)); err != nil {
		return nil, "", err
	}
	conn := tls.Server(raw, &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: protocols,
		// What arrives unasked on an idle connection is taken for a goodbye.
		SessionTicketsDisabled: true,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			auth := tls.RequireAnyClientCert
			if slices.Equal(hello.SupportedProtos, []string{ProtocolJoin}) {
				auth = tls.NoClientCert
			}
			return &tls.Config{
				MinVersion: tls.VersionTLS13, NextProtos: protocols, SessionTicketsDisabled: true,
				ClientAuth: auth, Certificates: []tls.Certificate{*t.identity.Certificate()},
			}, nil
		},
	})
	if err := conn.Handshake(); err != nil {
		return nil, "", err
	}
	state := conn.ConnectionState()
	protocol := state.NegotiatedProtocol
	if !slices.Contains(protocols, protocol) {
		return nil, "", answer(conn, verdictRefused, fmt.Sprintf("protocol %q is not spoken here", protocol))
	}
	accepted := &memberConn{Conn: conn, network: t}
	if protocol != ProtocolJoin {
		accepted.shown = state.PeerCertificates[0] // RequireAnyClientCert has seen to it
	}
	// Known before it is judged: whoever is removed meanwhile is cut.
	if !t.take(accepted, hostOf(raw)) {
		return accepted, "", answer(conn, verdictRefused, "too many want to join at this time: try again")
	}
	if protocol != ProtocolJoin {
		var err error
		if accepted.peer, err = t.member(state); err != nil {
			return accepted, "", t.refuse(conn, err)
		}
	}
	if err := answer(conn, verdictAccepted, ""); err != nil {
		return accepted, "", err
	}
	return accepted, protocol, raw.SetDeadline(time.Time{})
}

// take counts a connection as open. It reports false for a stranger when there are too many.
func (t *TLS) take(c *memberConn, host netip.Prefix) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.shown == nil {
		if t.waiting == maxStrangers || t.strangers[host] == maxStrangersEach {
			return false
		}
		t.waiting++
		t.strangers[host]++
	}
	c.host = host
	t.open[c] = struct{}{}
	return true
}

// drop is take undone, however often.
func (t *TLS) drop(c *memberConn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.open[c]; !ok {
		return
	}
	delete(t.open, c)
	if c.shown == nil {
		t.waiting--
		if t.strangers[c.host]--; t.strangers[c.host] == 0 {
			delete(t.strangers, c.host)
		}
	}
}

func (t *TLS) refuse(conn net.Conn, err error) error {
	switch {
	case errors.Is(err, ErrForeignCluster):
		return answer(conn, verdictForeign, "this is a node of another cluster")
	case errors.Is(err, trust.ErrRemoved):
		return answer(conn, verdictRemoved, "its key is not believed any more")
	default:
		return answer(conn, verdictRefused, "the certificate that was shown is not that of a member")
	}
}

// Cut closes the connections of members that are believed no more: their key was removed, or the authority that
// vouched for them was retired. It is called after the identity has learnt something.
func (t *TLS) Cut() {
	t.mu.Lock()
	var gone []*memberConn
	for conn := range t.open {
		if conn.shown == nil {
			continue
		}
		if _, err := t.identity.Verify(conn.shown, t.now()); err != nil {
			gone = append(gone, conn)
		}
	}
	t.mu.Unlock()
	for _, conn := range gone {
		_ = conn.Close()
	}
}

// memberConn is a connection whose other side is known. It is no *tls.Conn on purpose: net/http would
// look for protocols of its own in one.
type memberConn struct {
	net.Conn
	peer    string
	shown   *x509.Certificate // by a member; nil for a stranger
	host    netip.Prefix
	network *TLS // nil where this side has dialed
}

// NetConn returns the connection below.
func (c *memberConn) NetConn() net.Conn { return c.Conn }

// Close closes the connection.
func (c *memberConn) Close() error {
	if c.network != nil {
		c.network.drop(c)
	}
	return c.Conn.Close()
}

// peerOf returns who is at the other side of a connection of a Network that knows.
func peerOf(conn net.Conn) (peer string, known bool) {
	for conn != nil {
		if member, ok := conn.(*memberConn); ok {
			return member.peer, true
		}
		inner, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = inner.NetConn()
	}
	return "", false
}
