package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"broker/cluster"
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
			r.ok(p.check, "%s is held, by %s as it seems", p.address, strings.TrimSuffix(m.holder, ","))
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

// checkPeers asks the nodes named in join who they are.
func (r *report) checkPeers(ctx context.Context, c config, m member) []heard {
	const check = "peers"
	var peers []string
	for _, address := range c.Join {
		if address != c.ClusterListen && address != c.ClusterAdvertise { // the same file may serve all nodes
			peers = append(peers, address)
		}
	}
	all := greetAll(ctx, peers)
	reached := 0
	var foreign bool
	for _, h := range all {
		switch {
		case h.err == nil && m.clusterID != "" && h.ClusterID != m.clusterID:
			foreign = true
			r.fail(check, "%s belongs to cluster %s, and the data directory to %s: give the node an empty directory, or its own cluster's addresses", h.address, h.ClusterID, m.clusterID)
		case h.err == nil:
			reached++
			r.ok(check, "%s of cluster %s", h.address, h.ClusterID)
		default:
			r.warn(check, "%v: start that node, or open its cluster port to this one", h.err)
		}
	}
	if len(peers) > 0 && reached == 0 && !foreign && m.nodeID == "" {
		r.fail(check, "none of the nodes named in join answers: a new node needs one to be let in")
	}
	return all
}

func greetAll(ctx context.Context, peers []string) []heard {
	ctx, cancel := context.WithTimeout(ctx, greetTimeout)
	defer cancel()
	all := make([]heard, len(peers))
	var asking sync.WaitGroup
	for i, address := range peers {
		asking.Go(func() {
			began := time.Now()
			g, err := cluster.Greet(ctx, nil, address)
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
	scheme, _, _ := strings.Cut(c.APIAdvertise, "://")
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
