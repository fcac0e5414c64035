package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"broker/backup"
	"broker/cluster"
	"broker/cluster/trust"
	"broker/fsm"
	"broker/seal"
)

// restoring is what `brokerd restore` was told.
type restoring struct {
	file       string
	dataDir    string
	keyFile    string
	nodeID     string
	address    string
	shareFiles []string
	drill      bool
	replaces   bool
	confirm    string
	reason     string
	in         asker
	out, err   io.Writer
}

func restoreCommand() *cobra.Command {
	var r restoring
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Bring a cluster back from a snapshot, on a machine that has nothing else",
		Long: `Bring a cluster back from a snapshot file, on a machine that has nothing else. The data directory must be
empty. Enough recovery shares open the keyring that lies in the snapshot; they are asked for, or read from
--recovery-share-file (repeated; a file may hold several lines) or from the variable BROKER_RECOVERY_SHARES
(separated by commas). A key file that is still there is used in their place.

A plain "brokerd server" with the same data directory then starts a cluster of this one node; other nodes join it
as usual, with empty data directories, and "brokerd admin-token" makes a token when all are lost. Nodes of the lost
cluster are not believed any more and must not come back with their data. The cluster goes on with a new certificate
authority, whose fingerprint is printed: clients that trust the old one log in again.

With --replace the state of a running cluster is replaced, by a snapshot of that very cluster: on the host of the
leader, with --data-dir naming its directory, and with the cluster's id typed as --confirm. Everything after the
snapshot is lost but who belongs to the cluster.

The restored cluster changes nothing at outside systems until "brokerctl snapshot release". With --drill it never
does: for practising beside the living cluster.`,
		Example: `  brokerd restore broker.snapshot --data-dir /var/lib/broker --node-id n1
  brokerd restore broker.snapshot --data-dir /var/lib/broker --replace --confirm 3f… --reason 'a script deleted everything'
  brokerd restore broker.snapshot --data-dir /tmp/drill --drill --recovery-share-file s1 --recovery-share-file s3`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return wrong("restore takes one snapshot FILE, not %d arguments", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			r.file, r.out, r.err = args[0], cmd.OutOrStdout(), cmd.ErrOrStderr()
			r.in = terminalAsker(cmd.Context(), r.err)
			return r.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.dataDir, "data-dir", "/var/lib/broker", "the data directory to make; it must be empty")
	f.StringVar(&r.keyFile, "key-file", "", "where the cluster's key file is, or is to be written (default: keyring.json in the data directory)")
	f.StringVar(&r.nodeID, "node-id", defaultNodeID(), "name of this node in the cluster")
	f.StringVar(&r.address, "cluster-advertise", "127.0.0.1:8421", "this node's address as other nodes see it; a server started with another one tells the cluster")
	f.StringArrayVar(&r.shareFiles, "recovery-share-file", nil, "read recovery shares from this file; may be repeated")
	f.BoolVar(&r.drill, "drill", false, "for practising: the restored cluster can never be released")
	f.BoolVar(&r.replaces, "replace", false, "replace the state of a running cluster: asked of the node of --data-dir, which must lead")
	f.StringVar(&r.confirm, "confirm", "", "with --replace: the cluster's id, since it loses everything after the snapshot")
	f.StringVar(&r.reason, "reason", "", "with --replace: why; part of the history")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	return cmd
}

func (r *restoring) run(ctx context.Context) (err error) {
	switch {
	case r.replaces && r.drill:
		return wrong("drill and replace: a drill never replaces a living cluster")
	case r.replaces && r.reason == "":
		return wrong("--reason is required with --replace: it stands in the history")
	case r.replaces:
		return r.replace(ctx)
	case r.confirm != "" || r.reason != "":
		return wrong("--confirm and --reason belong to --replace")
	}
	if r.keyFile == "" {
		r.keyFile = filepath.Join(r.dataDir, "keyring.json")
	}
	if _, _, err := net.SplitHostPort(r.address); err != nil {
		return wrong("cluster_advertise: %q is not host:port", r.address)
	}
	if !fsm.ValidName(r.nodeID) {
		return wrong("node_id: %q cannot name a node: it takes %s", r.nodeID, fsm.NameRule)
	}
	if err := cluster.CheckEmpty(r.dataDir); err != nil {
		return err
	}
	if _, missing := os.Lstat(r.dataDir); missing != nil {
		defer func() {
			if err != nil {
				_ = os.Remove(r.dataDir) // if it was made and nothing is in it
			}
		}()
	}
	source, err := backup.Open(r.file, r.dataDir, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	h := source.Header
	fmt.Fprintf(r.err, "snapshot of cluster %s, made %s at node %s, index %d\n", h.ClusterID, h.CreatedAt.UTC().Format(time.RFC3339), h.Node, h.Index)
	key, err := r.openKeyring(ctx, source)
	if err != nil {
		return err
	}
	plan := backup.Plan{Drill: r.drill, Now: time.Now(), Actor: fsm.Actor{Node: r.nodeID}}
	authority, err := r.prepareDirectory(source, key, plan)
	if err != nil {
		return err
	}
	what := "It changes nothing at outside systems until it is released: brokerctl snapshot diff, then brokerctl snapshot release."
	if plan.Drill || h.Restored == "drill" {
		what = "It is a DRILL: it changes nothing at outside systems and can never be released."
	}
	fmt.Fprintf(r.err, "restored into %s as node %s. Start it with brokerd server --data-dir %s --node-id %s\n%s\n", r.dataDir, r.nodeID, r.dataDir, r.nodeID, what)
	fmt.Fprintf(r.err, `The cluster has a new certificate authority, with fingerprint
  %s
Nodes of the lost cluster are not believed any more and must not come back with their data. Clients of an API that
serves TLS with the cluster's own certificates log in again (brokerctl login URL --ca-fingerprint …), or are given the
new authority's certificate (brokerctl cluster ca list).
`, authority)
	return nil
}

// openedKey is the cluster's keyring, and its file when that is to be written.
type openedKey struct {
	ring *seal.Keyring
	file seal.KeyFile // nil: the file is there
}

// openKeyring takes the key file that is there, else opens the one in the snapshot by recovery shares.
func (r *restoring) openKeyring(ctx context.Context, source *backup.Restored) (openedKey, error) {
	var key openedKey
	_, err := os.Stat(r.keyFile)
	switch {
	case err == nil:
		fmt.Fprintf(r.err, "using the key file %s\n", r.keyFile)
		key.ring, err = seal.Load(r.keyFile)
	case errors.Is(err, os.ErrNotExist):
		var recovery seal.Recovery
		if recovery, err = source.Recovery(); err != nil {
			return key, err
		}
		var shares []seal.Share
		if shares, err = r.collectShares(ctx, source.Header.ClusterID, recovery); err != nil {
			return key, err
		}
		if key.file, err = recovery.Open(source.Header.ClusterID, shares); err != nil {
			return key, err
		}
		key.ring, err = key.file.Keyring()
	}
	if err != nil {
		return key, err
	}
	if err := source.CheckKeyring(key.ring); err != nil {
		return key, err
	}
	return key, source.UsePrimary(key.ring)
}

// prepareDirectory makes everything that a plain start of the node needs. The data directory counts as a node's
// only when its last step is done. It returns the fingerprint of the cluster's new authority.
func (r *restoring) prepareDirectory(source *backup.Restored, key openedKey, plan backup.Plan) (authority trust.Fingerprint, err error) {
	offline, err := cluster.NewOffline(r.dataDir)
	if err != nil {
		return authority, err
	}
	defer func() { err = errors.Join(err, offline.Close()) }()
	if key.file != nil {
		if err := key.file.Write(r.keyFile); err != nil {
			return authority, err
		}
	}
	identity, err := trust.Create(r.dataDir, r.nodeID)
	if err != nil {
		return authority, err
	}
	hash, err := trust.HashKey(identity.PublicKey())
	if err != nil {
		return authority, err
	}
	plan.Node = fsm.Node{Name: r.nodeID, Key: hash[:]}
	if err := renewTrust(&plan, source.Header.ClusterID, key.ring); err != nil {
		return authority, err
	}
	index, next, err := source.Begin(plan)
	if err != nil {
		return authority, err
	}
	if err := r.admit(identity, source, key.ring, plan.Now); err != nil {
		return authority, err
	}
	return trust.FingerprintOf(plan.Authority.Certificate), offline.Begin(cluster.Beginning{
		NodeID: r.nodeID, ClusterID: source.Header.ClusterID, Address: r.address, Index: index, Term: next, Level: source.State.FeatureLevel(), State: source.State,
	})
}

// renewTrust makes the authority and the key of gossip that the cluster goes on with.
func renewTrust(plan *backup.Plan, clusterID string, ring *seal.Keyring) error {
	maker := trustMaker{&node{keyring: ring}}
	authority, err := trust.NewAuthority(clusterID, plan.Now)
	if err != nil {
		return err
	}
	key, err := authority.Key()
	if err != nil {
		return fmt.Errorf("encoding the authority's key: %w", err)
	}
	sealed, err := maker.node.sealAuthority(authority.Certificate(), key)
	if err != nil {
		return err
	}
	plan.Authority = &fsm.Authority{Certificate: sealed.Certificate, Sealed: sealed.Sealed}
	plan.GossipKey, err = maker.NextGossipKey()
	return err
}

// admit gives the node what other nodes know it by: a certificate of the cluster's new authority, whose key lies sealed
// in the state. The certificate of the API is signed at the start, when it is known what the API is called.
func (r *restoring) admit(identity *trust.Identity, source *backup.Restored, ring *seal.Keyring, now time.Time) error {
	known, authority, err := (&node{state: source.State, keyring: ring}).agreed()
	if err != nil {
		return fmt.Errorf("reading whom the nodes of the cluster believe: %w", err)
	}
	certificate, err := authority.SignNode(identity.PublicKey(), source.Header.ClusterID, r.nodeID, now)
	if err != nil {
		return err
	}
	return identity.Join(source.Header.ClusterID, certificate, nil, known)
}
