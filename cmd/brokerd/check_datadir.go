package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"broker/cluster"
	"broker/cluster/trust"
	"broker/seal"
)

// member is what the data directory says of the node, and whether that runs.
type member struct {
	identity *trust.Identity // nil: the directory belongs to no member of a cluster yet
	running  bool
	holder   string // who runs
}

// checkMember looks whom the data directory belongs to.
func (r *report) checkMember(c config) (m member) {
	const check = "identity"
	if f, err := os.Open(filepath.Join(c.DataDir, lockFile)); err == nil {
		m.running, err = locked(f)
		_ = f.Close() // it was only asked
		if err != nil {
			r.warn(check, "%v", err)
		}
		if m.running {
			m.holder = strings.TrimSuffix(strings.Replace(holderOf(c.DataDir), "another brokerd", "the running brokerd", 1), ",")
		}
	}
	identity, known, err := trust.Open(c.DataDir)
	if err != nil {
		r.fail(check, "%v", err)
		return m
	}
	if err := keyLost(c.DataDir, known); err != nil {
		r.fail(check, "%v", err)
		return m
	}
	if !known || identity.ClusterID() == "" {
		r.checkBeginning(check, c)
		return m
	}
	nodeID := ""
	if c.nodeIDGiven {
		nodeID = c.NodeID
	}
	m.identity = identity
	switch err := cluster.CheckIdentity(c.DataDir, identity.NodeID(), identity.ClusterID()); {
	case nodeID != "" && nodeID != identity.NodeID():
		r.fail(check, "%s belongs to node %q and not to %q: give the node its own directory, or its own name back", c.DataDir, identity.NodeID(), nodeID)
	case err != nil:
		r.fail(check, "%v", err)
	case m.running:
		r.ok(check, "%s of cluster %s, held by %s", identity.NodeID(), identity.ClusterID(), m.holder)
	default:
		r.ok(check, "%s of cluster %s", identity.NodeID(), identity.ClusterID())
	}
	switch end := identity.ExpiresAt(); {
	case end.IsZero():
	case time.Now().After(end):
		r.warn("certificate", "the node's ended at %s; it is renewed as soon as the node reaches the others", end.UTC().Format(time.RFC3339))
	default:
		r.ok("certificate", "the node's, until %s; it renews itself", end.UTC().Format(time.RFC3339))
	}
	return m
}

// checkBeginning looks how a node begins whose directory belongs to no cluster.
func (r *report) checkBeginning(check string, c config) {
	switch {
	case c.Init:
		r.ok(check, "new; %s begins a cluster", c.NodeID)
	case len(c.Join) == 0:
		r.fail(check, "%s is empty: say --init on the first node of a cluster, --join with the address of a member on every other", c.DataDir)
	default:
		r.ok(check, "new; %s joins a cluster", c.NodeID)
		if _, err := c.joinAuthority(); err != nil {
			r.fail("join token", "%v", err)
		} else {
			r.ok("join token", "whole; whether it is still valid the cluster knows")
		}
	}
}

// joinAuthority returns the authority of the cluster that the join token is for.
func (c config) joinAuthority() (trust.Fingerprint, error) {
	text, err := c.readJoinToken()
	if err != nil {
		return trust.Fingerprint{}, err
	}
	token, err := trust.ParseJoinToken(text)
	if err != nil {
		return trust.Fingerprint{}, fmt.Errorf("reading the join token: %w", err)
	}
	return token.Authority(), nil
}

// checkDataDir looks at the directory's owner and modes.
func (r *report) checkDataDir(c config) {
	const check = "data directory"
	info, err := os.Stat(c.DataDir)
	if errors.Is(err, fs.ErrNotExist) {
		above := existing(c.DataDir)
		if err := unix.Access(above, unix.W_OK|unix.X_OK); err != nil {
			r.fail(check, "%s is not there and cannot be made: %s does not let this user write (%v); make it, and give it to the user that brokerd runs as", c.DataDir, above, err)
			return
		}
		r.ok(check, "%s is not there yet; it will be made", c.DataDir)
		return
	}
	if err != nil {
		r.fail(check, "%v", err)
		return
	}
	open, err := openToOthers(c.DataDir)
	switch {
	case err != nil:
		r.fail(check, "%v", err)
		return
	case len(open) > 0:
		r.fail(check, "others can read %s: run chmod go= %s", strings.Join(open, " and "), strings.Join(open, " "))
		return
	}
	if err := unix.Access(c.DataDir, unix.R_OK|unix.W_OK|unix.X_OK); err != nil {
		r.fail(check, "this user may not write to %s (%v): run chown on it, or check as the user that brokerd runs as", c.DataDir, err)
		return
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		r.warn(check, "%s belongs to user %d, and this is user %d: what this one makes there the other cannot read", c.DataDir, stat.Uid, os.Geteuid())
		return
	}
	r.ok(check, "%s, mode %04o", c.DataDir, info.Mode().Perm())
}

// existing returns the deepest directory above a path that is there.
func existing(path string) string {
	for {
		if info, err := os.Stat(path); err == nil && info.IsDir() || path == filepath.Dir(path) {
			return path
		}
		path = filepath.Dir(path)
	}
}

// checkKeyFile looks whether the key file can be read.
func (r *report) checkKeyFile(c config, m member) {
	const check = "key file"
	_, err := os.Stat(c.KeyFile)
	if errors.Is(err, fs.ErrNotExist) && m.identity == nil {
		r.ok(check, "%s is not there yet; the first node makes it, and sends it to those that join", c.KeyFile)
		return
	}
	if _, err := seal.Load(c.KeyFile); err != nil {
		r.fail(check, "%v", err)
		return
	}
	r.ok(check, "%s", c.KeyFile)
}
