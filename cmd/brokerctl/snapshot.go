package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"broker/snapshot"
)

func (a *app) snapshotCommand() *cobra.Command {
	noun := &cobra.Command{
		Use:   "snapshot",
		Short: "Copies of the whole cluster: save, inspect; what comes after a restore: diff, release",
		Long: `Copies of the whole cluster. A snapshot holds everything the cluster knows, with its secrets sealed; the
recovery shares open it, also where nothing else is left ("brokerd restore"). Whoever has a snapshot and enough
shares has the root credentials: keep them apart.`,
	}
	noun.AddCommand(a.snapshotSave(), a.snapshotInspect(), a.snapshotRestore(), a.snapshotDiff(), a.snapshotRelease())
	return noun
}

func (a *app) snapshotSave() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "save FILE|-",
		Short: "Save a snapshot of the cluster to a file, or to standard output",
		Long: `Save a snapshot of the cluster. The node that answers makes it of its own state, which has everything
that was answered before; with "--consistency stale" it is what the node has, also without a leader. The file
appears complete and verified or not at all, readable by its owner only.`,
		Example: "  brokerctl snapshot save broker.snapshot\n  brokerctl snapshot save - | ssh backup@vault 'cat > broker.snapshot'",
		Args:    exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			out, err := a.newSnapshotFile(args[0], force)
			if err != nil {
				return err
			}
			defer out.abandon()
			progress := a.newProgress(cmd.Context())
			header, err := verified(func(w io.Writer) error {
				return c.SaveSnapshot(cmd.Context(), io.MultiWriter(out, progress, w))
			})
			progress.end()
			if err != nil {
				return err
			}
			if err := out.commit(); err != nil {
				return err
			}
			a.note("saved a snapshot of cluster %s at index %d, %s", header.ClusterID, header.Index, sizeText(progress.total()))
			if header.Recovery == nil {
				a.warn("no recovery shares open this snapshot: keep a copy of the cluster's key file too")
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "overwrite the file")
	return cmd
}

// verified runs fill and returns the header of what it wrote, if that is a whole snapshot.
func verified(fill func(io.Writer) error) (snapshot.Header, error) {
	in, out := io.Pipe()
	type result struct {
		header snapshot.Header
		err    error
	}
	done := make(chan result, 1)
	go func() {
		header, _, err := snapshot.Verify(in)
		_, _ = io.Copy(io.Discard, in) // so that fill says itself what is wrong
		done <- result{header, err}
	}()
	err := fill(out)
	_ = out.CloseWithError(err) // always nil
	seen := <-done
	if err != nil {
		return seen.header, err
	}
	if seen.err != nil {
		return seen.header, &hintedError{err: fmt.Errorf("what the node sent is no whole snapshot: %w", seen.err), hint: "try again, or another node (--addr)"}
	}
	return seen.header, nil
}

func (a *app) snapshotInspect() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "inspect FILE|-",
		Short: "Verify a snapshot and show what it is of; needs no broker",
		Long: `Read a snapshot to its end, verify its checksum, and show what it is of. That needs no broker and no key, and so
finds damage but cannot prove who made the file: "brokerd restore" does, once the keyring is open.`,
		Args: exactly("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			in := a.in
			if args[0] != "-" {
				file, err := os.Open(args[0])
				if err != nil {
					return fmt.Errorf("opening the snapshot: %w", err)
				}
				defer file.Close()
				in = file
			}
			header, size, err := snapshot.Verify(in)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return a.showSnapshot(header, size)
		},
	}
	a.answers(cmd, inspected{})
	return cmd
}

// snapshotRestore says where a restore is made: whoever looks for it looks here.
func (a *app) snapshotRestore() *cobra.Command {
	return &cobra.Command{
		Use:   "restore FILE",
		Short: `Tell how a snapshot is restored: by "brokerd restore", on a node's host`,
		RunE: func(*cobra.Command, []string) error {
			return &usageError{
				err:  errors.New("a snapshot is restored on a node's host, by whoever may read the node's files"),
				hint: "brokerd restore FILE --data-dir D begins anew on an empty machine; with --replace, on the leader's host, it replaces a running cluster's state",
			}
		},
	}
}

// inspected is what a whole snapshot says of itself.
type inspected struct {
	snapshot.Header
	Content int64 `json:"content_bytes"`
}

func (a *app) showSnapshot(h snapshot.Header, size int64) error {
	rows := []row{
		{"Cluster", h.ClusterID},
		{"Index", fmt.Sprintf("%d, term %d", h.Index, h.Term)},
		{"Made", a.full(h.CreatedAt) + " at node " + h.Node + " by version " + h.Version},
		{"Ledger clock", a.full(h.ClockAt)},
		{"Size", sizeText(size)},
		{"Checksum", "right"},
		{"Origin", "not proven: that takes the keyring or the shares, and brokerd restore does it"},
		{"State", h.StateHash},
	}
	for _, what := range slices.Sorted(maps.Keys(h.Counts)) {
		rows = append(rows, row{strings.ReplaceAll(what, "_", " "), number(h.Counts[what])})
	}
	if h.FeatureLevel > 1 {
		rows = append(rows, row{"Needs feature level", number(h.FeatureLevel)})
	}
	shares := "none: only the cluster's key file opens it"
	if r := h.Recovery; r != nil {
		shares = fmt.Sprintf("%d of %d open it, made %s, splitting %s", r.Threshold, r.Shares, a.full(r.CreatedAt), r.Split)
	}
	rows = append(rows, row{"Recovery shares", shares})
	switch h.Restored {
	case "drill":
		rows = append(rows, row{"Drill", "this is a snapshot of a drill: it cannot be released"})
	case "restore":
		rows = append(rows, row{"Restored", "the cluster was restored itself and had not been released"})
	}
	return a.show(inspected{h, size}, h.ClusterID, rows)
}

// snapshotFile is a snapshot on its way to its place: it appears there complete or not at all.
type snapshotFile struct {
	path  string
	force bool
	temp  *os.File  // nil: standard output
	out   io.Writer // standard output
}

func (a *app) newSnapshotFile(path string, force bool) (*snapshotFile, error) {
	if path == "-" {
		if a.terminal {
			return nil, usage("a snapshot is no text for a terminal: name a file, or a pipe")
		}
		return &snapshotFile{out: a.out}, nil
	}
	secret, err := newSecretFile(path, force)
	if err != nil {
		return nil, err
	}
	return &snapshotFile{path: path, force: force, temp: secret.temp}, nil
}

// Write writes a part.
func (f *snapshotFile) Write(data []byte) (n int, err error) {
	if f.temp == nil {
		return f.out.Write(data)
	}
	if n, err = f.temp.Write(data); err != nil {
		err = fmt.Errorf("writing %s: %w", f.path, err)
	}
	return n, err
}

// commit puts the file in its place.
func (f *snapshotFile) commit() error {
	if f.temp == nil {
		return nil
	}
	return (&secretFile{path: f.path, force: f.force, temp: f.temp}).commit(nil)
}

func (f *snapshotFile) abandon() {
	if f.temp != nil {
		(&secretFile{path: f.path, temp: f.temp}).abandon()
	}
}
