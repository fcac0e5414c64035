package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"broker/cluster"
	"broker/seal"
)

// member is what the data directory says of the node, and whether that runs.
type member struct {
	nodeID, clusterID string // empty: the directory belongs to no node yet
	running           bool
	holder            string // who runs
}

// checkMember looks whom the data directory belongs to.
func (r *report) checkMember(c config) member {
	const check = "identity"
	var m member
	var err error
	if m.nodeID, m.clusterID, err = cluster.ReadIdentity(c.DataDir); err != nil {
		r.fail(check, "%v", err)
		return m
	}
	if f, err := os.Open(filepath.Join(c.DataDir, lockFile)); err == nil {
		m.running, err = locked(f)
		_ = f.Close() // it was only asked
		if err != nil {
			r.warn(check, "%v", err)
		}
		if m.running {
			m.holder = strings.Replace(holderOf(c.DataDir), "another brokerd", "the running brokerd", 1)
		}
	}
	switch {
	case m.nodeID == "" && c.Init:
		r.ok(check, "new; %s begins a cluster", c.NodeID)
	case m.nodeID == "" && len(c.Join) > 0:
		r.ok(check, "new; %s joins a cluster", c.NodeID)
	case m.nodeID == "":
		r.fail(check, "%s is empty: say --init on the first node of a cluster, --join with the address of a member on every other", c.DataDir)
	case m.nodeID != c.NodeID:
		r.fail(check, "%s belongs to node %q and not to %q: give the node its own directory, or its own name back", c.DataDir, m.nodeID, c.NodeID)
	case m.running:
		r.ok(check, "%s of cluster %s, held by %s", m.nodeID, m.clusterID, strings.TrimSuffix(m.holder, ","))
	default:
		r.ok(check, "%s of cluster %s", m.nodeID, m.clusterID)
	}
	return m
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
func (r *report) checkKeyFile(c config) {
	const check = "key file"
	_, err := os.Stat(c.KeyFile)
	if errors.Is(err, fs.ErrNotExist) && c.Init {
		r.ok(check, "%s is not there yet; the first node makes it", c.KeyFile)
		return
	}
	if _, err := seal.Load(c.KeyFile); err != nil {
		r.fail(check, "%v", err)
		return
	}
	r.ok(check, "%s", c.KeyFile)
}
