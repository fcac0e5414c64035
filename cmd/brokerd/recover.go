package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"broker/cluster"
	"broker/fsm"
)

// recovering is what `brokerd recover` was told.
type recovering struct {
	dataDir string
	address string
	confirm string
	reason  string
	in      io.Reader // nil: nobody can be asked
	err     io.Writer
}

func recoverCommand() *cobra.Command {
	var r recovering
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "Go on with this node alone, when most nodes are lost for good",
		Long: `Have this node go on as a cluster of one, with what its own log and snapshot hold, when most nodes are lost for
good. The node must be stopped. What the others had and this one had not is lost: changes of the last moments, and
perhaps leases whose logins exist; every connection is swept at the next start, and logins that the ledger does not
know are removed like other orphans. Choose the node with the highest index: run this without --confirm on each.

The lost nodes must not come back with their data: they would go on with the old cluster. Empty their data
directories and have them join again.`,
		Example: "  brokerd recover --data-dir /var/lib/broker --reason 'two of three machines burnt'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r.err = cmd.ErrOrStderr()
			if term.IsTerminal(int(os.Stdin.Fd())) {
				r.in = os.Stdin
			}
			return r.run()
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.dataDir, "data-dir", "/var/lib/broker", "the node's data directory")
	f.StringVar(&r.address, "cluster-advertise", "", "this node's address as other nodes see it (default: as its log says)")
	f.StringVar(&r.confirm, "confirm", "", "the cluster's id, to confirm without a terminal")
	f.StringVar(&r.reason, "reason", "", "why; part of the history")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	return cmd
}

func (r *recovering) run() (err error) {
	offline, err := cluster.OpenOffline(r.dataDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, offline.Close()) }()
	scratch, err := os.MkdirTemp(r.dataDir, ".recover-")
	if err != nil {
		return fmt.Errorf("making a directory for the state: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	state, err := fsm.Open(fsm.Config{Dir: filepath.Join(scratch, "state")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	left, err := offline.Replay(state)
	if err != nil {
		return err
	}
	var clock fsm.Instant
	if err := state.View(func(v *fsm.View) error { clock = v.Meta().Clock; return nil }); err != nil {
		return err
	}
	var others []string
	for _, s := range left.Members {
		switch {
		case string(s.ID) != offline.NodeID():
			others = append(others, string(s.ID))
		case r.address == "":
			r.address = string(s.Address)
		}
	}
	if r.address == "" {
		return wrong("the log does not say where node %q is found: name its address with --cluster-advertise", offline.NodeID())
	}
	fmt.Fprintf(r.err, `node %s of cluster %s has the log up to index %d, term %d; the newest change was made %s.
Whatever came after that at the other nodes (%s) is lost when this node goes on alone, and those nodes
must never come back with their data.
`, offline.NodeID(), offline.ClusterID(), left.Index, left.Term, clock, orNone(others))
	if err := r.confirmed(offline.ClusterID()); err != nil {
		return err
	}
	if strings.TrimSpace(r.reason) == "" {
		return wrong("--reason is required: it stands in the history")
	}
	index, next := fsm.NextLife(left.Index, left.Term)
	err = state.BeginLife(fsm.Life{
		Index: index, Term: next, Actor: fsm.Actor{Node: offline.NodeID()}, Node: fsm.Node{Name: offline.NodeID()},
		Details: map[string]string{
			"reason": r.reason, "last_index": fmt.Sprint(left.Index), "last_term": fmt.Sprint(left.Term),
			"left_behind": strings.Join(others, " "), "recovered_at": fsm.At(time.Now()).String(),
		},
	})
	if err != nil {
		return err
	}
	err = offline.Begin(cluster.Beginning{
		NodeID: offline.NodeID(), ClusterID: offline.ClusterID(), Address: r.address, Index: index, Term: next, Level: state.FeatureLevel(), State: state,
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(r.err, "node %s is a cluster of one now. Start it as usual; every connection is swept then.\n", offline.NodeID())
	return nil
}

// confirmed asks for the cluster's id.
func (r *recovering) confirmed(clusterID string) error {
	typed := r.confirm
	if typed == "" && r.in != nil {
		fmt.Fprint(r.err, "type the cluster's id to go on: ")
		line, err := bufio.NewReader(r.in).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("asking for a confirmation: %w", err)
		}
		typed = strings.TrimSpace(line)
	}
	switch typed {
	case clusterID:
		return nil
	case "":
		return wrong("not confirmed, nothing was changed: add --confirm %s to go on", clusterID)
	}
	return wrong("not confirmed, nothing was changed: %q is not the cluster's id", typed)
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
