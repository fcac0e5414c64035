package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"broker/fsm"
	"broker/seal"
)

// recovery wraps a new cluster's keyring and shows the shares that open it, once and before it is committed:
// what nobody was shown must not be what snapshots are opened with.
func (n *node) recovery() (*fsm.Recovery, error) {
	if n.wrapped != nil {
		return n.wrapped, nil // an earlier try has shown the shares
	}
	r, shares, err := n.keyring.NewRecovery(n.cluster.ClusterID(), n.config.RecoveryShares, n.config.RecoveryThreshold, rand.Reader)
	if err != nil {
		return nil, err
	}
	if n.config.RecoveryFile != "" {
		if n.config.RecoveryFile == filepath.Join(n.config.DataDir, birthShares) {
			// Of an earlier try that was cut short: they open nothing.
			if err := os.Remove(n.config.RecoveryFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("removing recovery shares that open nothing: %w", err)
			}
		}
		if err := writeShares(n.config.RecoveryFile, shares); err != nil {
			return nil, err
		}
		n.log.Info("wrote the recovery shares: keep them apart from snapshots, and from each other", "path", n.config.RecoveryFile)
	} else {
		fmt.Fprintf(n.stdout, "recovery shares, shown this once; %d of %d open snapshots where nothing else is left, so keep them apart from snapshots:\n", r.Threshold, r.Shares)
		for _, s := range shares {
			fmt.Fprintln(n.stdout, s.Text())
		}
	}
	n.wrapped = &fsm.Recovery{Wrapped: r.Wrapped, Shares: r.Shares, Threshold: r.Threshold, Split: r.Split, Public: r.Public}
	return n.wrapped, nil
}

// writeShares writes a file each into a directory, else all of them into one file. No file is overwritten: it may
// hold the shares of another cluster.
func writeShares(path string, shares []seal.Share) error {
	info, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("writing the recovery shares: %w", err)
	}
	if err == nil && info.IsDir() || strings.HasSuffix(path, string(filepath.Separator)) {
		for _, s := range shares {
			if err := writeNew(filepath.Join(path, fmt.Sprintf("recovery-share-%d", s.Number())), s.Text()+"\n"); err != nil {
				return err
			}
		}
		return nil
	}
	var lines strings.Builder
	for _, s := range shares {
		lines.WriteString(s.Text() + "\n")
	}
	return writeNew(path, lines.String())
}

func writeNew(path, text string) error {
	err := seal.WriteNew(path, []byte(text))
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("writing the recovery shares: %s exists: move it away, it may hold the shares of another cluster", path)
	case err != nil:
		return fmt.Errorf("writing the recovery shares: %w", err)
	}
	return nil
}
