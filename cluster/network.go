package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"
)

// The protocols spoken between nodes. They share one port.
const (
	ProtocolRaft    = "raft/1"
	ProtocolForward = "forward/1" // requests of clients, on their way to the leader
	ProtocolPeer    = "peer/1"    // questions of the nodes themselves, kept apart from what clients send
	ProtocolJoin    = "join/1"
)

var protocols = []string{ProtocolRaft, ProtocolForward, ProtocolPeer, ProtocolJoin}

// A Network carries connections between nodes. A connection belongs to one
// protocol and one cluster; only ProtocolJoin may be dialed with an empty
// cluster id, by a node that does not know it yet. Implementations are safe for
// concurrent use.
type Network interface {
	// Listen opens address for members of the cluster.
	Listen(address, clusterID string) (Port, error)
	// Dial connects to a node's cluster address. It returns an error wrapping
	// ErrForeignCluster when that node belongs to another cluster.
	Dial(ctx context.Context, address, protocol, clusterID string) (net.Conn, error)
}

// A Port is a cluster address that is listened at.
type Port interface {
	// Addr is the address listened at.
	Addr() net.Addr
	// Protocol returns the listener of one protocol, always the same.
	Protocol(name string) net.Listener
	// Close closes the address, its listeners and the connections that nobody
	// accepted.
	Close() error
}

const (
	preambleMagic   = "brk1"
	greetingTimeout = 5 * time.Second
	maxProtocolLen  = 32
	maxClusterIDLen = 128

	// What is thought of a new connection.
	verdictAccepted = 0
	verdictForeign  = 1
	verdictRefused  = 2
	verdictRemoved  = 3
)

// PlainTCP is a Network over unencrypted TCP, for tests. A short preamble names
// protocol and cluster; it keeps honest nodes from mistakes and dishonest ones
// from nothing.
type PlainTCP struct{}

// Dial connects and announces protocol and cluster.
func (PlainTCP) Dial(ctx context.Context, address, protocol, clusterID string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if err := announce(ctx, conn, protocol, clusterID); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("opening %s at %s: %w", protocol, address, err)
	}
	return conn, nil
}

// announce writes the preamble and reads the verdict: a byte, and a sentence with
// its length before it.
func announce(ctx context.Context, conn net.Conn, protocol, clusterID string) error {
	deadline := time.Now().Add(greetingTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	msg := append([]byte(preambleMagic), byte(len(protocol)), byte(len(clusterID)))
	msg = append(append(msg, protocol...), clusterID...)
	if _, err := conn.Write(msg); err != nil {
		return err
	}
	if err := verdict(conn); err != nil {
		return err
	}
	if !stop() {
		return context.Cause(ctx)
	}
	return conn.SetDeadline(time.Time{})
}

// verdict reads what the other side thinks of a new connection.
func verdict(conn net.Conn) error {
	var head [3]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return err
	}
	reason := make([]byte, min(binary.BigEndian.Uint16(head[1:]), 1024))
	if _, err := io.ReadFull(conn, reason); err != nil {
		return err
	}
	switch head[0] {
	case verdictAccepted:
		return nil
	case verdictForeign:
		return fmt.Errorf("%w: %s", ErrForeignCluster, reason)
	case verdictRemoved:
		return fmt.Errorf("%w: %s", ErrRemoved, reason)
	default:
		return errors.New(string(reason))
	}
}

// Listen opens a TCP address and sorts what connects by protocol.
func (PlainTCP) Listen(address, clusterID string) (Port, error) {
	return listenSorting(address, func(conn net.Conn) (net.Conn, string, error) {
		protocol, err := greetPlain(conn, clusterID)
		return conn, protocol, err
	})
}

func greetPlain(conn net.Conn, ours string) (protocol string, err error) {
	if err := conn.SetDeadline(time.Now().Add(greetingTimeout)); err != nil {
		return "", err
	}
	var head [len(preambleMagic) + 2]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return "", err
	}
	protoLen, idLen := int(head[4]), int(head[5])
	if string(head[:4]) != preambleMagic || protoLen > maxProtocolLen || idLen > maxClusterIDLen {
		return "", errors.New("not a preamble")
	}
	rest := make([]byte, protoLen+idLen)
	if _, err := io.ReadFull(conn, rest); err != nil {
		return "", err
	}
	protocol, clusterID := string(rest[:protoLen]), string(rest[protoLen:])

	switch {
	case !slices.Contains(protocols, protocol):
		return "", answer(conn, verdictRefused, fmt.Sprintf("protocol %q is not spoken here", protocol))
	case clusterID != ours && !(protocol == ProtocolJoin && clusterID == ""):
		return "", answer(conn, verdictForeign, fmt.Sprintf("this is a node of cluster %s, not of %s", ours, clusterID))
	}
	if err := answer(conn, verdictAccepted, ""); err != nil {
		return "", err
	}
	return protocol, conn.SetDeadline(time.Time{})
}

// answer sends the verdict. One other than verdictAccepted is returned as an
// error too.
func answer(conn net.Conn, verdict byte, reason string) error {
	reason = reason[:min(len(reason), 1024)]
	msg := binary.BigEndian.AppendUint16([]byte{verdict}, uint16(len(reason)))
	if _, err := conn.Write(append(msg, reason...)); err != nil {
		return err
	}
	if verdict != verdictAccepted {
		return errors.New(reason)
	}
	return nil
}
