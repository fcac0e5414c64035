package backup

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"broker/fsm"
	"broker/seal"
	"broker/snapshot"
)

// Restored is a snapshot that was read into a state of its own, where nothing works on it. Close must be
// called.
type Restored struct {
	Header snapshot.Header
	State  *fsm.State

	meta    fsm.Meta
	dir     string
	content *snapshot.Reader // read to its end
}

// A Cluster is whose snapshot is expected.
type Cluster struct {
	ID      string
	Keyring *seal.Keyring
}

// Open reads a snapshot file to its end, and only when every byte of it is as it was written reads it once
// more into a state below dir. That state is scratch; Close removes it. Whether a node of the cluster made the file
// is not known before CheckKeyring, unless it is to be of a cluster that is known: then a file of another one or made
// by somebody else is refused before its content is looked at. Nil: of any cluster.
func Open(path, dir string, of *Cluster) (*Restored, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening the snapshot: %w", err)
	}
	defer file.Close()
	header, err := verify(file, of)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("reading the snapshot: %w", err)
	}
	if header.FeatureLevel > fsm.FeatureLevel {
		return nil, fmt.Errorf("%w (it is at feature level %d, this version reads up to level %d)", snapshot.ErrNewer, header.FeatureLevel, fsm.FeatureLevel)
	}
	r := &Restored{Header: header}
	if err := r.read(file, dir); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// verify reads a file to its end and returns its header when it may be used.
func verify(file io.Reader, of *Cluster) (h snapshot.Header, err error) {
	in, err := snapshot.NewReader(file)
	if err != nil {
		return h, err
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		return h, err
	}
	h = in.Header()
	switch {
	case of == nil:
		return h, nil
	case h.ClusterID != of.ID:
		return h, fmt.Errorf("this snapshot is of another cluster (%s): restore it on machines without data", h.ClusterID)
	}
	return h, in.CheckProof(proving(of.Keyring))
}

func (r *Restored) read(file io.Reader, dir string) (err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making a directory for the state: %w", err)
	}
	if r.dir, err = os.MkdirTemp(dir, ".restore-"); err != nil {
		return fmt.Errorf("making a directory for the state: %w", err)
	}
	if r.State, err = fsm.Open(fsm.Config{Dir: filepath.Join(r.dir, "state")}); err != nil {
		return err
	}
	if r.content, err = snapshot.NewReader(file); err != nil {
		return err
	}
	if err := r.State.Restore(io.NopCloser(r.content)); err != nil {
		return err
	}
	switch n, err := io.Copy(io.Discard, r.content); {
	case err != nil:
		return err
	case n > 0:
		return fmt.Errorf("%w: %d bytes follow its state", snapshot.ErrDamaged, n)
	}
	r.Header = r.content.Header() // of these bytes, should the file have been exchanged
	if err := r.State.View(func(v *fsm.View) error { r.meta = v.Meta(); return nil }); err != nil {
		return fmt.Errorf("reading the restored state: %w", err)
	}
	if r.meta.ClusterID != r.Header.ClusterID || r.meta.Index != r.Header.Index || hex.EncodeToString(r.meta.Hash) != r.Header.StateHash {
		return fmt.Errorf("%w: it says that it is of cluster %s at index %d, and holds cluster %s at index %d",
			snapshot.ErrDamaged, r.Header.ClusterID, r.Header.Index, r.meta.ClusterID, r.meta.Index)
	}
	return nil
}

// Packed returns the state as Raft takes it, and how many bytes that is. The file is removed by Close.
func (r *Restored) Packed() (content *os.File, size int64, err error) {
	export, err := r.State.Export()
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, export.Close()) }()
	if content, err = os.OpenFile(filepath.Join(r.dir, "packed"), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600); err != nil {
		return nil, 0, fmt.Errorf("writing the state: %w", err)
	}
	size, err = export.WriteTo(content)
	if err == nil {
		_, err = content.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("writing the state: %w", err), content.Close())
	}
	return content, size, nil
}

// Close removes the state.
func (r *Restored) Close() error {
	var err error
	if r.State != nil {
		err = r.State.Close()
	}
	if r.dir != "" {
		err = errors.Join(err, os.RemoveAll(r.dir))
	}
	return err
}

// ErrNoRecovery is returned for a snapshot that no shares open.
var ErrNoRecovery = errors.New("the cluster of this snapshot has no recovery shares: only a copy of its key file opens it")

// Recovery returns what shares are needed for.
func (r *Restored) Recovery() (seal.Recovery, error) {
	w := r.meta.Recovery
	if w == nil {
		return seal.Recovery{}, ErrNoRecovery
	}
	return seal.Recovery{Wrapped: w.Wrapped, Shares: w.Shares, Threshold: w.Threshold, Split: w.Split, Public: w.Public}, nil
}

// CheckKeyring returns an error when a keyring is not the one of the snapshot's cluster, or did not make the file:
// whoever may write to where snapshots lie could have it say that a connection's host is his own. Nothing of a
// snapshot may be used before.
func (r *Restored) CheckKeyring(k *seal.Keyring) error {
	proven := r.content.CheckProof(proving(k))
	lacking, err := r.lacking(k)
	switch {
	case err != nil:
		return err
	case lacking && proven == nil:
		return ErrKeyGone
	case lacking:
		return errors.New("this keyring is not the one of the snapshot's cluster")
	}
	if len(r.meta.KeyCheck) > 0 { // not of a cluster from before there was one
		if _, err := k.Open(r.meta.KeyCheck, fsm.KeyCheckSeal); err != nil {
			return errors.New("this keyring is not the one of the snapshot's cluster")
		}
	}
	return proven
}

// ErrKeyGone is returned for a keyring of the snapshot's cluster that has dropped a key which the snapshot needs.
var ErrKeyGone = errors.New("this snapshot is from before the sealing key was exchanged, and the key file has dropped the key it needs: the recovery shares open it (to use them, name another --key-file)")

// lacking reports whether something in the state is sealed with a key that a keyring does not have.
func (r *Restored) lacking(k *seal.Keyring) (lacking bool, err error) {
	err = r.State.View(func(v *fsm.View) error {
		for id := range v.SealedBy() {
			lacking = lacking || id != 0 && !k.Holds(id)
		}
		return nil
	})
	return lacking, err
}

// UsePrimary has a keyring seal with the key that the state seals with, as long as this process runs.
func (r *Restored) UsePrimary(k *seal.Keyring) error {
	return r.State.View(func(v *fsm.View) error {
		for _, key := range v.SealingKeys() {
			if key.State == fsm.SealingPrimary {
				return k.Use(key.ID)
			}
		}
		return nil
	})
}

// Plan says how a snapshot is brought back.
type Plan struct {
	Drill bool
	Node  fsm.Node // the one node that the cluster begins with: name and key
	Actor fsm.Actor
	Now   time.Time

	// On bare machines: what takes the place of what nodes of the lost cluster have.
	Authority *fsm.Authority
	GossipKey []byte

	// Of a running cluster, whose state is replaced: who belongs to it, the index it has come to, its present
	// term, and why.
	Belonging *fsm.Belonging
	Sealing   *fsm.Sealing
	After     uint64
	Term      uint64
	Reason    string
}

// Begin marks the state as a restored one and has it begin a new life, at the index and the term returned. It
// is then ready to be given to Raft.
func (r *Restored) Begin(p Plan) (index, term uint64, err error) {
	index, term = fsm.NextLife(max(r.meta.Index, p.After), r.meta.Term)
	if p.Belonging != nil {
		term = p.Term
	}
	mark := &fsm.Restored{
		At: fsm.At(p.Now), Index: r.meta.Index, ClockAt: r.meta.Clock, CreatedAt: fsm.At(r.Header.CreatedAt), Drill: p.Drill,
	}
	details := map[string]string{
		"snapshot_at": mark.CreatedAt.String(), "snapshot_index": fmt.Sprint(mark.Index), "snapshot_node": r.Header.Node, "restored_at": mark.At.String(),
	}
	// A drill cannot be released, not even by way of another snapshot.
	if before := r.meta.Restored; before != nil && before.Drill {
		mark.Drill = true
	}
	if mark.Drill {
		details["drill"] = "true"
	}
	if p.Reason != "" {
		details["reason"] = p.Reason
	}
	err = r.State.BeginLife(fsm.Life{
		Index: index, Term: term, Actor: p.Actor, Restored: mark, Node: p.Node, Authority: p.Authority, GossipKey: p.GossipKey,
		Belonging: p.Belonging, Sealing: p.Sealing, Details: details,
	})
	return index, term, err
}
