package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"broker/cluster"
	"broker/cluster/trust"
)

// checkPorts looks whether the node could listen at its addresses.
func (r *report) checkPorts(ctx context.Context, c config, m member) {
	for _, p := range []struct {
		check, address string
		udp            bool
	}{
		{"API port", c.APIListen, false}, {"cluster port", c.ClusterListen, false}, {"gossip port", c.GossipListen, true},
	} {
		if p.address == "" {
			continue
		}
		switch err := listens(ctx, p.address, p.udp); {
		case err == nil:
			r.ok(p.check, "%s is free", p.address)
		case errors.Is(err, syscall.EADDRINUSE) && m.running:
			r.ok(p.check, "%s is held, by %s as it seems", p.address, m.holder)
		default:
			says := hint(err)
			if says == "" {
				says = "choose an address of this machine"
			}
			r.fail(p.check, "%v: %s", err, says)
		}
	}
}

// listens listens for a moment, over UDP too if wanted.
func listens(ctx context.Context, address string, udp bool) error {
	var l net.ListenConfig
	stream, err := l.Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	err = stream.Close()
	if !udp || err != nil {
		return err
	}
	packets, err := l.ListenPacket(ctx, "udp", address)
	if err != nil {
		return err
	}
	return packets.Close()
}

// greetTimeout bounds the wait for one peer.
const greetTimeout = 3 * time.Second

// heard is what a peer answered.
type heard struct {
	address string
	cluster.Greeting
	after time.Duration // how long the answer took
	at    time.Time     // when it came, by this clock
	err   error
}

// checkPeers asks the nodes named in join who they are: as a member where this node is one, else with the join
// token. Only whoever belongs to the same cluster counts as an answer.
func (r *report) checkPeers(ctx context.Context, c config, m member) []heard {
	const check = "peers"
	var peers []string
	for _, address := range c.Join {
		if address != c.ClusterListen && address != c.ClusterAdvertise { // the same file may serve all nodes
			peers = append(peers, address)
		}
	}
	if len(peers) == 0 {
		return nil
	}
	dial := func(ctx context.Context, address string) (net.Conn, error) {
		return cluster.NewTLS(m.identity, nil, nil).Dial(ctx, address, cluster.ProtocolJoin, m.identity.ClusterID())
	}
	if m.identity == nil {
		authority, err := c.joinAuthority()
		if err != nil {
			return nil // it has been said
		}
		dial = func(ctx context.Context, address string) (net.Conn, error) {
			return cluster.DialPinned(ctx, address, authority, time.Now())
		}
	}
	all := greetAll(ctx, dial, peers)
	reached := 0
	for _, h := range all {
		switch {
		case h.err == nil:
			reached++
			r.ok(check, "%s of cluster %s", h.address, h.ClusterID)
		case errors.Is(h.err, cluster.ErrRemoved):
			r.fail(check, "%v: give it an empty directory, a new name and a join token to make it a member again", h.err)
		case errors.Is(h.err, cluster.ErrForeignCluster) || errors.Is(h.err, trust.ErrStranger):
			r.fail(check, "%v: name nodes of this node's own cluster, or give it an empty directory and a join token of theirs", h.err)
		default:
			r.warn(check, "%v: start that node, or open its cluster port to this one", h.err)
		}
	}
	if reached == 0 && m.identity == nil {
		r.fail(check, "none of the nodes named in join answers as it should: a new node needs one to be let in")
	}
	return all
}

func greetAll(ctx context.Context, dial func(context.Context, string) (net.Conn, error), peers []string) []heard {
	ctx, cancel := context.WithTimeout(ctx, greetTimeout)
	defer cancel()
	all := make([]heard, len(peers))
	var asking sync.WaitGroup
	for i, address := range peers {
		asking.Go(func() {
			began := time.Now()
			g, err := cluster.Greet(ctx, dial, address)
			all[i] = heard{address: address, Greeting: g, after: time.Since(began), at: time.Now(), err: err}
		})
	}
	asking.Wait()
	return all
}

// checkHealth asks the running node whether it is alive.
func (r *report) checkHealth(ctx context.Context, c config) {
	const check = "health"
	host, port, err := net.SplitHostPort(c.APIListen)
	if err != nil {
		r.fail(check, "%v", err)
		return
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme := "http"
	if c.servesTLS() {
		scheme = "https"
	}
	url := fmt.Sprintf("%s://%s/healthz", scheme, net.JoinHostPort(host, port))
	// Nothing secret is sent, and whether it is this node's own certificate is not the question.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // see above
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		r.fail(check, "%v", err)
		return
	}
	res, err := client.Do(req)
	if err != nil {
		r.fail(check, "no node answers: %v", err)
		return
	}
	_ = res.Body.Close() // it is not read
	if res.StatusCode != http.StatusOK {
		r.fail(check, "%s answers %s", url, res.Status)
		return
	}
	r.ok(check, "%s answers", url)
}
