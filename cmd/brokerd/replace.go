package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"broker/backup"
	"broker/broker"
	"broker/fsm"
	"broker/seal"
)

// replaceQuestion asks a running leader, over its socket, to replace the state of its cluster.
type replaceQuestion struct {
	File    string `json:"file"` // as the node sees it
	Confirm string `json:"confirm"`
	Reason  string `json:"reason"`

	// Shares open the keyring of a snapshot from before the sealing key was exchanged.
	Shares []string `json:"shares,omitempty"`
}

// replaceAnswer tells how that went.
type replaceAnswer struct {
	Error string `json:"error,omitempty"`
	Index uint64 `json:"index,omitempty"`

	// Recovery is set when shares are needed, and says which.
	Recovery  *seal.Recovery `json:"recovery,omitempty"`
	ClusterID string         `json:"cluster_id,omitempty"`
}

// sharesNeeded is the error of a snapshot that only recovery shares open.
type sharesNeeded struct{ seal.Recovery }

func (sharesNeeded) Error() string {
	return "this snapshot is from before the sealing key was exchanged: recovery shares are needed to open it"
}

// replacement is a state on its way into the log.
type replacement struct {
	index   uint64
	size    int64
	content io.Reader
	belongs belonging // to the cluster, in the state that was made
	done    chan error
}

// belonging is who belongs to the cluster, and as of when.
type belonging struct {
	fsm.Belonging
	version uint64
	sealing fsm.Sealing
}

// belonging reads it.
func (n *node) belonging() (b belonging, err error) {
	err = n.state.View(func(v *fsm.View) error {
		b.Belonging = fsm.Belonging{Nodes: v.Nodes(), Authorities: v.Authorities(), GossipKeys: v.GossipKeys(), Memberships: v.Memberships()}
		b.version, b.sealing = v.Meta().Trust, v.Sealing()
		return nil
	})
	return b, err
}

// unchanged returns an error when others belong to the cluster now: a node that was removed meanwhile would be a
// member again.
func (b belonging) unchanged(n *node) error {
	now, err := n.belonging()
	if err != nil {
		return err
	}
	if now.version != b.version || !slices.Equal(now.Memberships, b.Memberships) {
		return errors.New("who belongs to the cluster has changed meanwhile, and nothing was replaced: try again")
	}
	same := func(x, y fsm.SealingKey) bool { return x.Number == y.Number && x.Version == y.Version }
	if !slices.EqualFunc(now.sealing.Keys, b.sealing.Keys, same) || !bytes.Equal(now.sealing.KeyCheck, b.sealing.KeyCheck) {
		return errors.New("the sealing key is being exchanged, and nothing was replaced: try again when that is over (brokerctl seal status)")
	}
	return nil
}

// replaceTimeout bounds the wait for the leader's work to end and for Raft to take the state.
const replaceTimeout = 10 * time.Minute

func (n *node) serveReplace(w http.ResponseWriter, r *http.Request) {
	var question replaceQuestion
	var answer replaceAnswer
	err := json.NewDecoder(io.LimitReader(r.Body, 1<<16)).Decode(&question)
	if err == nil {
		// Not the request's context: what was begun is finished.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), replaceTimeout)
		defer cancel()
		answer.Index, err = n.replaceState(ctx, question)
	}
	if err != nil {
		answer.Error = err.Error()
	}
	var needed sharesNeeded
	if errors.As(err, &needed) {
		answer.Recovery, answer.ClusterID = &needed.Recovery, n.cluster.ClusterID()
	}
	_ = json.NewEncoder(w).Encode(answer) // who went away finds the outcome in the history
}

// replaceState replaces the state of the whole running cluster by a snapshot of it. Who belongs to the cluster
// stays as it is. Like any restored state it changes nothing at outside systems until it is released.
func (n *node) replaceState(ctx context.Context, q replaceQuestion) (index uint64, err error) {
	status := n.cluster.Status()
	switch {
	case !n.cluster.LeaderReady():
		if status.LeaderID == "" {
			return 0, errors.New("the cluster has no leader: it is restored on bare machines, or one node recovered")
		}
		return 0, fmt.Errorf("this node does not lead: do it on the host of node %s, which does", status.LeaderID)
	case q.Confirm != status.ClusterID:
		return 0, fmt.Errorf("not confirmed, nothing was changed: this cluster's id is %s; it would lose everything since the snapshot", status.ClusterID)
	case !n.replacing.TryLock():
		return 0, errors.New("a restore is under way already")
	}
	defer n.replacing.Unlock()
	source, err := backup.Open(q.File, n.config.DataDir, &backup.Cluster{ID: status.ClusterID, Keyring: n.keyring})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	ring, err := n.keyringOf(source, q.Shares)
	if err != nil {
		return 0, err
	}
	belongs, err := n.belonging()
	if err != nil {
		return 0, err
	}
	sealing := belongs.sealing
	sealing.Reseal = func(s fsm.SealedValue) ([]byte, error) {
		plain, err := ring.Open(s.Sealed, s.Bound)
		if err != nil {
			return nil, err
		}
		defer clear(plain)
		return n.keyring.Seal(plain, s.Bound)
	}
	plan := backup.Plan{
		Belonging: &belongs.Belonging, Sealing: &sealing, Now: time.Now(), Reason: q.Reason, Actor: fsm.Actor{Node: n.config.NodeID}, After: n.state.Index(), Term: status.Term,
	}
	if index, _, err = source.Begin(plan); err != nil {
		return 0, err
	}
	file, size, err := source.Packed()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	next := &replacement{index: index, size: size, content: file, belongs: belongs, done: make(chan error, 1)}
	n.replacement.Store(next)
	defer n.replacement.CompareAndSwap(next, nil)
	if err := n.broker.Suspend(); err != nil {
		return 0, err
	}
	select {
	case err := <-next.done:
		return index, err
	case <-ctx.Done():
		return 0, fmt.Errorf("waiting for the leader's work to end: %w", ctx.Err())
	}
}

// keyringOf returns the keyring that opens a snapshot of this cluster: the present one, or, for one from before the
// sealing key was exchanged, that which the shares open.
func (n *node) keyringOf(source *backup.Restored, lines []string) (*seal.Keyring, error) {
	err := source.CheckKeyring(n.keyring)
	if !errors.Is(err, backup.ErrKeyGone) {
		return n.keyring, err
	}
	recovery, err := source.Recovery()
	if err != nil {
		return nil, err
	}
	if len(lines) == 0 {
		return nil, sharesNeeded{recovery}
	}
	var shares []seal.Share
	for _, line := range lines {
		share, err := seal.ParseShare(line)
		if err != nil {
			return nil, err
		}
		shares = append(shares, share)
	}
	file, err := recovery.Open(n.cluster.ClusterID(), shares)
	if err != nil {
		return nil, err
	}
	defer clear(file)
	ring, err := file.Keyring()
	if err != nil {
		return nil, err
	}
	return ring, source.CheckKeyring(ring)
}

// leadOn leads, and between two periods of leading replaces the state when that was asked for.
func (n *node) leadOn(ctx context.Context, term uint64) error {
	for {
		err := n.broker.Lead(ctx, term)
		next := n.replacement.Swap(nil)
		switch {
		case next == nil:
			if errors.Is(err, broker.ErrSuspended) {
				continue // whoever asked has given up
			}
			return err
		case !errors.Is(err, broker.ErrSuspended):
			next.done <- errors.New("this node leads no more; nothing was changed")
			return err
		}
		// Only now does nothing change any more.
		if err = next.belongs.unchanged(n); err == nil {
			n.log.Warn("replacing the state of the whole cluster by a snapshot")
			err = n.cluster.Restore(ctx, next.index, next.size, next.content)
		}
		if err != nil {
			n.log.Error("replacing the state failed", "error", err)
		}
		next.done <- err
		if err := ctx.Err(); err != nil {
			return nil //nolint:nilerr // leadership is over
		}
	}
}

// replace asks the running node for it.
func (r *restoring) replace(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, replaceTimeout)
	defer cancel()
	file, err := filepath.Abs(r.file)
	if err != nil {
		return err
	}
	if _, err := os.Stat(file); err != nil {
		return fmt.Errorf("opening the snapshot: %w", err)
	}
	question := replaceQuestion{File: file, Confirm: r.confirm, Reason: r.reason}
	answer, err := r.askReplace(ctx, question)
	if err == nil && answer.Recovery != nil {
		fmt.Fprintln(r.err, answer.Error)
		var shares []seal.Share
		if shares, err = r.collectShares(ctx, answer.ClusterID, *answer.Recovery); err != nil {
			return err
		}
		for _, s := range shares {
			question.Shares = append(question.Shares, s.Text())
		}
		answer, err = r.askReplace(ctx, question)
	}
	if err != nil {
		return err
	}
	if answer.Error != "" {
		return errors.New(answer.Error)
	}
	fmt.Fprintf(r.err, "the cluster's state was replaced; its log goes on at index %d.\nIt changes nothing at outside systems until it is released: brokerctl snapshot diff, then brokerctl snapshot release.\n", answer.Index)
	return nil
}

// askReplace puts the question to the running node.
func (r *restoring) askReplace(ctx context.Context, question replaceQuestion) (answer replaceAnswer, err error) {
	path := filepath.Join(r.dataDir, socketName)
	client := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}
	defer client.CloseIdleConnections()
	body, err := json.Marshal(question)
	if err != nil {
		return answer, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://node/restore", bytes.NewReader(body))
	if err != nil {
		return answer, err
	}
	res, err := client.RoundTrip(req)
	if err != nil {
		return answer, fmt.Errorf("asking the node at %s: %w (does it run on this host, and may you read its data directory?)", path, err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<16)).Decode(&answer); err != nil {
		return answer, fmt.Errorf("reading the node's answer: %w; the history tells whether it was done", err)
	}
	return answer, nil
}
