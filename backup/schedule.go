package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"broker/snapshot"
)

// Schedule says when and where a node makes snapshots by itself. Maker, Dir, Interval and Keep are required.
type Schedule struct {
	Maker    *Maker
	Dir      string        // made with 0700 when missing; several nodes may share it
	Interval time.Duration // between the beginnings of two snapshots
	Keep     int           // how many of this node's are kept

	// Current returns an error while the node's state may be old: a snapshot made then would only seem to be
	// new. Nil: it never is.
	Current func() error

	Logger *slog.Logger // nil: none
}

// Keeper makes a node's scheduled snapshots. Every node makes its own of its own state: whichever machine is
// left has a new one, and nobody has to agree on who makes them. Its methods are safe for concurrent use.
type Keeper struct {
	Schedule
	log *slog.Logger
	now func() time.Time

	mu     sync.Mutex
	newest time.Time // when the newest complete one was made; zero: there is none
	since  time.Time // since when there should have been one
	err    error     // why the newest try failed; nil: it did not
}

const (
	fileSuffix = ".snapshot"
	tempSuffix = ".part"
	timeLayout = "20060102T150405Z"

	// retryAfter is how soon a try that failed is repeated, unless the interval is shorter.
	retryAfter = 5 * time.Minute
)

// NewKeeper checks the schedule and looks for snapshots that are there.
func NewKeeper(s Schedule) (*Keeper, error) {
	switch {
	case s.Maker == nil || s.Dir == "":
		return nil, errors.New("scheduled snapshots need a maker and a directory")
	case s.Interval < time.Second:
		return nil, fmt.Errorf("snapshots are made every second at the most, not every %s", s.Interval)
	case s.Keep < 1:
		return nil, fmt.Errorf("at least one snapshot is to be kept, not %d", s.Keep)
	}
	k := &Keeper{Schedule: s, log: s.Logger, now: s.Maker.Now}
	if k.log == nil {
		k.log = slog.New(slog.DiscardHandler)
	}
	if k.now == nil {
		k.now = time.Now
	}
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory of snapshots: %w", err)
	}
	files, err := k.files(fileSuffix)
	if err != nil {
		return nil, err
	}
	k.since = k.now()
	if len(files) > 0 {
		k.newest = timeOf(files[len(files)-1])
	}
	return k, nil
}

// Run makes snapshots until the context ends. A failure is logged, told by Warnings and tried again: it never
// stops the node.
func (k *Keeper) Run(ctx context.Context) {
	for {
		timer := time.NewTimer(k.pause())
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		at := k.now()
		path, err := k.save()
		k.mu.Lock()
		k.err = err
		if err == nil {
			k.newest = at
		}
		k.mu.Unlock()
		if err != nil {
			k.log.Error("making a scheduled snapshot failed", "dir", k.Dir, "error", err)
			continue
		}
		k.log.Info("made a scheduled snapshot", "path", path, "took", k.now().Sub(at).Round(time.Millisecond).String())
		if err := k.prune(); err != nil {
			k.log.Error("deleting old snapshots failed", "dir", k.Dir, "error", err)
		}
	}
}

// pause is the time until the next try.
func (k *Keeper) pause() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.err != nil:
		return min(k.Interval, retryAfter)
	case k.newest.IsZero():
		return min(k.Interval, time.Second) // a moment for a node that has just come up
	}
	// A clock that was ahead once must not hold up the next one.
	return min(max(k.newest.Add(k.Interval).Sub(k.now()), time.Second), k.Interval)
}

// Newest returns when the newest complete snapshot was made, and whether there is one.
func (k *Keeper) Newest() (time.Time, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.newest, !k.newest.IsZero()
}

// Warnings tells what is wrong with this node's snapshots, nothing when nothing is.
func (k *Keeper) Warnings() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var list []string
	since := k.newest
	if since.IsZero() {
		since = k.since
	}
	if age := k.now().Sub(since); age > 3*k.Interval {
		what := "the newest snapshot of this node in " + k.Dir + " is " + age.Round(time.Second).String() + " old"
		if k.newest.IsZero() {
			what = "this node has made no snapshot in " + k.Dir + " for " + age.Round(time.Second).String()
		}
		list = append(list, what+"; one is due every "+k.Interval.String())
	}
	if k.err != nil {
		list = append(list, "making a scheduled snapshot failed: "+k.err.Error())
	}
	return list
}

// save makes one snapshot, which appears complete, verified and on the disk, or not at all.
func (k *Keeper) save() (path string, err error) {
	if k.Current != nil {
		if err := k.Current(); err != nil {
			return "", err
		}
	}
	if err := k.removeParts(); err != nil {
		return "", err
	}
	made, err := k.Maker.Begin()
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, made.Close()) }()
	path = filepath.Join(k.Dir, k.prefix()+k.now().UTC().Format(timeLayout)+fileSuffix)
	part := path + tempSuffix
	f, err := os.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return "", fmt.Errorf("making a snapshot file: %w", err)
	}
	_, err = made.WriteTo(f)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		_, err = f.Seek(0, 0)
	}
	if err == nil {
		_, _, err = snapshot.Verify(f)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		return "", errors.Join(fmt.Errorf("writing a snapshot file: %w", err), os.Remove(part))
	}
	return path, syncDir(k.Dir)
}

// prune deletes the oldest of this node's snapshots beyond those that are kept.
func (k *Keeper) prune() error {
	files, err := k.files(fileSuffix)
	if err != nil {
		return err
	}
	for len(files) > k.Keep {
		if err := os.Remove(filepath.Join(k.Dir, files[0])); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("deleting an old snapshot: %w", err)
		}
		files = files[1:]
	}
	return nil
}

// removeParts removes what an earlier process of this node left half written.
func (k *Keeper) removeParts() error {
	parts, err := k.files(fileSuffix + tempSuffix)
	if err != nil {
		return err
	}
	for _, name := range parts {
		if err := os.Remove(filepath.Join(k.Dir, name)); err != nil {
			return fmt.Errorf("removing a half-written snapshot: %w", err)
		}
	}
	return nil
}

func (k *Keeper) prefix() string { return "broker-" + k.Maker.Node + "-" }

// files names this node's files, oldest first: names end with the time.
func (k *Keeper) files(suffix string) ([]string, error) {
	entries, err := os.ReadDir(k.Dir)
	if err != nil {
		return nil, fmt.Errorf("looking for snapshots: %w", err)
	}
	var names []string
	for _, e := range entries {
		stamp, ours := strings.CutPrefix(e.Name(), k.prefix())
		stamp, ends := strings.CutSuffix(stamp, suffix)
		// Another node's name may begin like this one's.
		if _, err := time.Parse(timeLayout, stamp); ours && ends && err == nil {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

func timeOf(name string) time.Time {
	stamp := strings.TrimSuffix(name, fileSuffix)
	at, err := time.Parse(timeLayout, stamp[max(0, len(stamp)-len(timeLayout)):])
	if err != nil {
		return time.Time{}
	}
	return at
}

// syncDir makes names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("writing a snapshot file: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}
