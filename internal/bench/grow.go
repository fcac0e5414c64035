package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"github.com/oklog/ulid/v2"

	"broker/fsm"
	"broker/providers/postgres/postgrestest"
)

// growth says what leases are to be there.
type growth struct {
	count int
	path  string                // where leases of the secret are issued
	dueAt func(i int) time.Time // nil: in about 30 days
}

// A million leases through the API take an hour, so they are made while the cluster is down: every
// node is stopped, what one of them has is brought up to date in this process, the commands
// PrepareLease and ActivateLease are applied to it for each lease, as the log would have, and every node
// is given the snapshot that it would have taken of that. What the nodes then start from is no
// different from what they would have by themselves, but for the time it took.
func (h *house) grow(ctx context.Context, g growth) error {
	began := time.Now()
	leader, err := h.leader(ctx)
	if err != nil {
		return err
	}
	for _, i := range []int{(leader + 1) % nodeCount, (leader + 2) % nodeCount, leader} {
		if err := h.stop(i); err != nil {
			return err
		}
	}
	state, err := fsm.Open(fsm.Config{Dir: filepath.Join(h.dir, "grow")})
	if err != nil {
		return err
	}
	defer state.Close()
	at, err := h.bringUp(state, leader)
	if err != nil {
		return err
	}
	if err := at.issue(ctx, state, g); err != nil {
		return err
	}
	say("made %d leases in %.0f s", g.count, time.Since(began).Seconds())
	for i := range h.nodes {
		if err := h.give(state, i, at); err != nil {
			return err
		}
	}
	say("gave them to all nodes after %.0f s", time.Since(began).Seconds())
	return nil
}

// place is where a log has come to.
type place struct {
	index, term   uint64
	configuration raft.Configuration
	configuredAt  uint64
}

func openLog(dir string) (*raftboltdb.BoltStore, error) {
	return raftboltdb.New(raftboltdb.Options{Path: filepath.Join(dir, "raft.db"), MsgpackUseNewTimeFormat: true})
}

func openSnapshots(dir string) (*raft.FileSnapshotStore, error) {
	return raft.NewFileSnapshotStoreWithLogger(dir, 2, hclog.New(&hclog.LoggerOptions{Output: io.Discard}))
}

// bringUp restores what a stopped node has: snapshot and log.
func (h *house) bringUp(state *fsm.State, i int) (at place, err error) {
	dir := filepath.Join(h.nodes[i].dir, "data")
	snapshots, err := openSnapshots(dir)
	if err != nil {
		return at, err
	}
	list, err := snapshots.List()
	if err != nil {
		return at, err
	}
	if len(list) > 0 {
		meta, content, err := snapshots.Open(list[0].ID)
		if err != nil {
			return at, err
		}
		if err := state.Restore(content); err != nil {
			return at, err
		}
		at = place{meta.Index, meta.Term, meta.Configuration, meta.ConfigurationIndex}
	}
	log, err := openLog(dir)
	if err != nil {
		return at, err
	}
	defer log.Close()
	last, err := log.LastIndex()
	if err != nil {
		return at, err
	}
	for index := at.index + 1; index <= last; index++ {
		var entry raft.Log
		if err := log.GetLog(index, &entry); err != nil {
			return at, fmt.Errorf("reading log entry %d: %w", index, err)
		}
		switch entry.Type {
		case raft.LogCommand:
			state.Apply(&entry)
		case raft.LogConfiguration:
			at.configuration, at.configuredAt = raft.DecodeConfiguration(entry.Data), index
		}
		at.index, at.term = index, entry.Term
	}
	if len(at.configuration.Servers) != nodeCount {
		return at, fmt.Errorf("the log names %d servers", len(at.configuration.Servers))
	}
	return at, nil
}

// issue applies the commands that make leases.
func (at *place) issue(ctx context.Context, state *fsm.State, g growth) error {
	parts := strings.Split(strings.TrimPrefix(g.path, "/api/v1/environments/"), "/")
	name := fsm.SecretName(strings.Join([]string{parts[0], parts[1], parts[3]}, "/"))
	var secret fsm.Secret
	var system uint64
	err := state.View(func(v *fsm.View) error {
		s, ok := v.Secret(name)
		c, connected := v.Connection(s.Connection)
		if !ok || !connected {
			return fmt.Errorf("there is no secret %q", name)
		}
		secret, system = s, c.System
		return nil
	})
	if err != nil {
		return err
	}
	var batch []*raft.Log
	flush := func() error {
		for _, r := range state.ApplyBatch(batch) {
			if result := r.(*fsm.Result); result.Refusal != nil {
				return result.Refusal
			}
		}
		batch = batch[:0]
		return ctx.Err()
	}
	add := func(body fsm.Body, now time.Time, key *fsm.IdempotencyKey) error {
		at.index++
		command, err := fsm.NewCommand(body, now, fsm.Actor{Account: "admin", Address: postgrestest.Host, Node: "node1"}, at.term)
		if err != nil {
			return err
		}
		command.Key = key
		data, err := command.Encode()
		batch = append(batch, &raft.Log{Index: at.index, Term: at.term, Type: raft.LogCommand, Data: data, AppendedAt: now})
		return err
	}
	ids := ulid.Monotonic(rand.Reader, 0)
	for i := range g.count {
		now := time.Now()
		ttl := 30*24*time.Hour + time.Duration(i%3600)*time.Second
		if g.dueAt != nil {
			ttl = g.dueAt(i).Sub(now)
		}
		id, err := ulid.New(ulid.Timestamp(now), ids)
		if err != nil {
			return err
		}
		key := fsm.NewKey("admin", g.path, rand.Text(), []byte("{}"))
		err = errors.Join(add(&fsm.PrepareLease{
			ID: fsm.LeaseID(id.String()), Name: parts[3], Secret: name, SecretVersion: secret.Version, System: system, Account: "admin",
			Username: "brk_grow_" + parts[3] + "_" + strings.ToLower(rand.Text()[:16]), TTL: ttl, CreateTTL: 10 * time.Second,
		}, now, key), add(&fsm.ActivateLease{ID: fsm.LeaseID(id.String())}, now, nil))
		if err == nil && len(batch) >= 2000 {
			err = flush()
		}
		if err != nil {
			return err
		}
	}
	return flush()
}

// give replaces what a stopped node has by a snapshot of the state.
func (h *house) give(state *fsm.State, i int, at place) error {
	dir := filepath.Join(h.nodes[i].dir, "data")
	snapshots, err := openSnapshots(dir)
	if err != nil {
		return err
	}
	_, nowhere := raft.NewInmemTransport("")
	sink, err := snapshots.Create(raft.SnapshotVersionMax, at.index, at.term, at.configuration, at.configuredAt, nowhere)
	if err != nil {
		return err
	}
	snapshot, err := state.Snapshot()
	if err != nil {
		return errors.Join(err, sink.Cancel())
	}
	defer snapshot.Release()
	if err := snapshot.Persist(sink); err != nil {
		return err
	}
	log, err := openLog(dir)
	if err != nil {
		return err
	}
	defer log.Close()
	first, err := log.FirstIndex()
	if err != nil {
		return err
	}
	last, err := log.LastIndex()
	if err != nil || last == 0 {
		return err
	}
	return log.DeleteRange(first, last)
}
