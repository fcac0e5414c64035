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
	cut    map[[2]string]bool
	conns  map[*link]struct{}
}

func newSwitchboard() *switchboard {
	return &switchboard{
		actual: make(map[string]string),
		owner:  make(map[string]string),
		cut:    make(map[[2]string]bool),
		conns:  make(map[*link]struct{}),
	}
}

// pair names two nodes regardless of order.
func pair(a, b string) [2]string {
	return [2]string{min(a, b), max(a, b)}
}

// separate cuts every node of one side from every node of the other, and the
// connections between them.
func (s *switchboard) separate(one, other []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range one {
		for _, b := range other {
			s.cut[pair(a, b)] = true
		}
	}
	for l := range s.conns {
		if s.cut[l.ends] {
			_ = l.Conn.Close()
		}
	}
}

// mend undoes the cuts that still says shall not stay.
func (s *switchboard) mend(stays func(a, b string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ends := range s.cut {
		if !stays(ends[0], ends[1]) {
			delete(s.cut, ends)
		}
	}
}

func (s *switchboard) connected(a, b string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.cut[pair(a, b)]
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
	ends := pair(s.node, owner)
	cut := b.cut[ends]
	b.mu.Unlock()
	if actual == "" || cut {
		return nil, fmt.Errorf("connecting %s to %s: %w", s.node, address, errCut)
	}
	conn, err := b.tcp.Dial(ctx, actual, protocol, clusterID)
	if err != nil {
		return nil, err
	}
	l := &link{Conn: conn, board: b, ends: ends}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cut[ends] {
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
	ends  [2]string
}

func (l *link) Close() error {
	l.board.mu.Lock()
	delete(l.board.conns, l)
	l.board.mu.Unlock()
	return l.Conn.Close()
}
