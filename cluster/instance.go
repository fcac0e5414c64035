package cluster

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
)

// keyInstance is where the log's own file has the instance of its directory.
const keyInstance = "instance"

// newInstance makes up the name of a data directory.
func newInstance() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// brand returns the identity with the instance of the data directory. One that holds no log gets a new
// instance at each start: it remembers no promise. Where log and identity name two instances, one of them was
// lost or comes from elsewhere.
func (n *Node) brand(id identity, member bool) (identity, error) {
	stored, err := n.stores.instance()
	if err != nil {
		return id, err
	}
	switch {
	case member && stored != "" && stored == id.Instance:
		return id, nil
	case member && stored == "" && id.Instance != "":
		return id, fmt.Errorf("%w: %s is not the one that belongs to the rest of %s: part of the log is lost; "+
			"empty the directory and let the node join again", ErrIdentity, logFile, n.cfg.DataDir)
	case member && stored != "" && id.Instance != "":
		return id, fmt.Errorf("%w: %s and %s in %s are of two directories; empty it and let the node join again",
			ErrIdentity, logFile, identityFile, n.cfg.DataDir)
	case member && stored != "":
		id.Instance = stored
	case n.cfg.Init && stored == "" && id.Instance != "":
		return id, fmt.Errorf("%w: the log in %s is lost, and beginning the cluster once more would make a second one of that name: "+
			"start without init and join the other nodes, or remove %s to begin anew", ErrIdentity, n.cfg.DataDir, identityFile)
	default:
		id.Instance = newInstance()
	}
	// In this order, since a crash between them leaves what the case above makes good.
	if err := n.stores.bolt.Set([]byte(keyInstance), []byte(id.Instance)); err != nil {
		return id, fmt.Errorf("writing the directory's instance: %w", err)
	}
	return id, writeIdentity(n.cfg.DataDir, id)
}

// instance returns what the log's file says, empty when nothing.
func (s *stores) instance() (string, error) {
	stored, err := s.bolt.Get([]byte(keyInstance))
	if errors.Is(err, raftboltdb.ErrKeyNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading the directory's instance: %w", err)
	}
	return string(stored), nil
}

// voice is silent until the leader has let this node in: before that it answers nothing that Raft asks. An
// empty directory under a member's name has forgotten votes and entries that were promised in that name.
type voice struct {
	once sync.Once
	open chan struct{} // closed: it may speak
}

func newVoice() *voice { return &voice{open: make(chan struct{})} }

func (v *voice) raise() { v.once.Do(func() { close(v.open) }) }

func (v *voice) silent() bool {
	select {
	case <-v.open:
		return false
	default:
		return true
	}
}

// isFresh reports whether this node joins with an empty directory and has not been let in yet.
func (n *Node) isFresh() bool { return n.voice.silent() }

// reads returns the level that a node reads which says so; nodes from before levels read the first.
func reads(level uint64) uint64 { return max(level, 1) }

// ErrNewerData is returned by Start when the data directory was written at a feature level that this program does
// not read.
var ErrNewerData = errors.New("the data directory was written by a newer version")

// checkMembership refuses to start on what a removed node, or a newer version, has left.
func (n *Node) checkMembership(id identity) error {
	switch {
	case id.RemovedAt != nil:
		return removedError(n.cfg.DataDir, *id.RemovedAt)
	case id.Level > n.cfg.Levels.Reads():
		return fmt.Errorf("%w: %s is at feature level %d, this version reads up to level %d: start the newer version again", ErrNewerData, n.cfg.DataDir, id.Level, n.cfg.Levels.Reads())
	}
	n.rememberedLevel = id.Level
	return nil
}

// amendIdentity changes what the data directory says of its owner.
func (n *Node) amendIdentity(change func(*identity)) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	id, known, err := readIdentity(n.cfg.DataDir)
	if err != nil || !known {
		return err
	}
	change(&id)
	return writeIdentity(n.cfg.DataDir, id)
}

// request is what this node asks the leader for.
func (n *Node) request(me self) joinRequest {
	return joinRequest{NodeID: me.nodeID, Address: me.clusterAddr, Instance: me.instance, Fresh: n.isFresh(), Level: n.cfg.Levels.Reads()}
}
