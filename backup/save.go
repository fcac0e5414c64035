package backup

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"broker/fsm"
	"broker/seal"
	"broker/snapshot"
)

// Maker makes snapshots of the state that a node has. It is safe for concurrent use.
type Maker struct {
	State   *fsm.State
	Keyring *seal.Keyring // proves that a node of the cluster made the file
	Node    string
	Version string           // of the program
	Now     func() time.Time // nil: time.Now
}

// Snapshot is a snapshot on its way to a file. Close must be called.
type Snapshot struct {
	header  snapshot.Header
	export  *fsm.Export
	keyring *seal.Keyring
}

// proving makes and checks proofs: a keyed hash of the file's checksum.
func proving(k *seal.Keyring) snapshot.Prover {
	return func(sum []byte) ([]byte, error) { return k.Hash("snapshot", hex.EncodeToString(sum)) }
}

// ErrNoCluster is returned when there is nothing to make a snapshot of yet.
var ErrNoCluster = errors.New("this node's state holds no cluster yet: nothing to make a snapshot of")

// Begin takes the state as it is now. Nothing of it is in memory: it is read while it is written out.
func (m *Maker) Begin() (*Snapshot, error) {
	if m.Keyring == nil {
		return nil, errors.New("a snapshot is made with the cluster's keyring, and there is none")
	}
	now := m.Now
	if now == nil {
		now = time.Now
	}
	export, err := m.State.Export()
	if err != nil {
		return nil, err
	}
	if export.Meta.ClusterID == "" {
		return nil, errors.Join(ErrNoCluster, export.Close())
	}
	return &Snapshot{keyring: m.Keyring, export: export, header: headerOf(export, m.Node, m.Version, now())}, nil
}

func headerOf(e *fsm.Export, node, version string, now time.Time) snapshot.Header {
	h := snapshot.Header{
		ClusterID: e.Meta.ClusterID, Index: e.Meta.Index, Term: e.Meta.Term, ClockAt: e.Meta.Clock.Time(),
		CreatedAt: now.UTC().Truncate(time.Millisecond), Node: node, Version: version,
		FeatureLevel: e.Meta.FeatureLevel(), StateHash: hex.EncodeToString(e.Meta.Hash), Counts: e.Counts,
	}
	if r := e.Meta.Recovery; r != nil {
		h.Recovery = &snapshot.Recovery{Shares: r.Shares, Threshold: r.Threshold, CreatedAt: r.CreatedAt.Time(), Split: hex.EncodeToString(r.Split)}
	}
	if r := e.Meta.Restored; r != nil {
		h.Restored = r.Kind()
	}
	return h
}

// Header says what the snapshot is of.
func (s *Snapshot) Header() snapshot.Header { return s.header }

// WriteTo writes the whole file. It fails when the state is replaced or closed meanwhile, however long w
// takes over a write.
func (s *Snapshot) WriteTo(w io.Writer) (int64, error) {
	// The state is let go of as soon as somebody needs it, also while w waits for a client.
	in, copied := io.Pipe()
	var copying sync.WaitGroup
	copying.Go(func() {
		_, err := s.export.WriteTo(copied)
		_ = copied.CloseWithError(errors.Join(err, s.export.Close())) // always nil
	})
	stop := make(chan struct{})
	copying.Go(func() {
		select {
		case <-s.export.Ended():
			_ = copied.CloseWithError(s.export.Err()) // always nil
		case <-stop:
		}
	})
	counted := &counter{out: w}
	out, err := snapshot.NewWriter(counted, s.header, proving(s.keyring))
	if err == nil {
		_, err = io.CopyBuffer(out, onlyReader{in}, make([]byte, 256<<10))
	}
	_ = in.Close() // always nil
	close(stop)
	copying.Wait()
	if err != nil {
		return counted.n, fmt.Errorf("copying the state: %w", err)
	}
	return counted.n, out.Close()
}

// Close lets the state go.
func (s *Snapshot) Close() error { return s.export.Close() }

// onlyReader has io.Copy use the buffer that it was given.
type onlyReader struct{ io.Reader }

type counter struct {
	out io.Writer
	n   int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.out.Write(p)
	c.n += int64(n)
	return n, err
}
