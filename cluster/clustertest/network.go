package clustertest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"broker/cluster"
)

// errCut is what dialing across a cut answers.
var errCut = errors.New("no route: the connection is cut")

// switchboard connects nodes by the names of their addresses and can cut them
// off from each other.
type switchboard struct {
	tcp cluster.PlainTCP

	mu     sync.Mutex
	actual map[string]string // address as configured → address listened at
	owner  map[string]string // address as configured → node
	cut    map[route]bool
	conns  map[*link]struct{}
}

// route is the way of connections that one node opens to another.
type route struct{ from, to string }

func newSwitchboard() *switchboard {
	return &switchboard{
		actual: make(map[string]string),
		owner:  make(map[string]string),
		cut:    make(map[route]bool),
		conns:  make(map[*link]struct{}),
	}
}

// separate closes the routes, and the connections on them.
func (s *switchboard) separate(routes ...route) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range routes {
		s.cut[r] = true
	}
	for l := range s.conns {
		if s.cut[l.route] {
			_ = l.Conn.Close()
		}
	}
}

// mend opens the closed routes except those that shall stay closed.
func (s *switchboard) mend(stays func(route) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for r := range s.cut {
		if !stays(r) {
			delete(s.cut, r)
		}
	}
}

// connected reports whether both nodes can open connections to each other.
func (s *switchboard) connected(a, b string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.cut[route{a, b}] && !s.cut[route{b, a}]
}

// socket is the network as one node has it.
type socket struct {
	board *switchboard
	node  string
}

var _ cluster.Network = socket{}

func (s socket) Listen(address, clusterID string) (cluster.Port, error) {
	port, err := s.board.tcp.Listen("127.0.0.1:0", clusterID)
	if err != nil {
		return nil, err
	}
	s.board.mu.Lock()
	defer s.board.mu.Unlock()
	s.board.actual[address] = port.Addr().String()
	s.board.owner[address] = s.node
	return port, nil
}

func (s socket) Dial(ctx context.Context, address, protocol, clusterID string) (net.Conn, error) {
	b := s.board
	b.mu.Lock()
	actual, owner := b.actual[address], b.owner[address]
	way := route{from: s.node, to: owner}
	cut := b.cut[way]
	b.mu.Unlock()
	if actual == "" || cut {
		return nil, fmt.Errorf("connecting %s to %s: %w", s.node, address, errCut)
	}
	conn, err := b.tcp.Dial(ctx, actual, protocol, clusterID)
	if err != nil {
		return nil, err
	}
	l := &link{Conn: conn, board: b, route: way}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cut[way] {
		_ = conn.Close()
		return nil, errCut
	}
	b.conns[l] = struct{}{}
	return l, nil
}

// link is a connection that a cut closes.
type link struct {
	net.Conn
	board *switchboard
	route route
}

// NetConn returns the connection below.
func (l *link) NetConn() net.Conn { return l.Conn }

func (l *link) Close() error {
	l.board.mu.Lock()
	delete(l.board.conns, l)
	l.board.mu.Unlock()
	return l.Conn.Close()
}
