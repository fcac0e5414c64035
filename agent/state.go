package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"broker/api/client"
	"broker/api/types"
)

// state is what an agent knows of what another one, or itself before, has done. It has no values.
type state struct {
	Secrets map[string]savedSecret `json:"secrets"` // by their names here
	Targets map[string]savedTarget `json:"targets"` // by their ids
	Ready   bool                   `json:"ready"`   // everything that is required is written
}

// savedSecret are the leases of a secret.
type savedSecret struct {
	Asked   string         `json:"asked"` // a digest of what was asked for
	Overlap types.Duration `json:"overlap,omitempty"`
	Leases  []client.Kept  `json:"leases"`
}

// savedTarget is what was written, or is just about to be.
type savedTarget struct {
	Spec    string   `json:"spec"` // a digest of how it is made
	Content string   `json:"content"`
	Leases  []string `json:"leases"`           // whose values it has, or is about to have
	Before  []string `json:"before,omitempty"` // whose values it may still have
	Untold  bool     `json:"untold,omitempty"` // its readers have not been told
}

// A store keeps the state, and has one agent work at a time.
type store interface {
	// take returns the state once no other agent works on it; until then it tells watch, from time to time, what
	// the other one has got. Its errors other than ctx's are final.
	take(ctx context.Context, watch func(state)) (state, error)

	// save replaces the state. An error may mean that another agent works now.
	save(ctx context.Context, s state) error

	// lost is closed when another agent may work now.
	lost() <-chan struct{}

	// give has another agent work.
	give()
}

// directory is a store for agents of one machine.
type directory struct {
	path string
	held *os.File
}

const lookAgain = time.Second

func (d *directory) take(ctx context.Context, watch func(state)) (state, error) {
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return state{}, fmt.Errorf("making the state directory: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(d.path, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return state{}, fmt.Errorf("opening the state's lock: %w", err)
	}
	for {
		ours, err := lock(file)
		if err != nil {
			file.Close()
			return state{}, fmt.Errorf("locking %s: %w", file.Name(), err)
		}
		if ours {
			s, err := d.load()
			if err != nil {
				file.Close()
				return s, err
			}
			d.held = file
			return s, nil
		}
		if others, err := d.load(); err == nil {
			watch(others)
		}
		select {
		case <-time.After(lookAgain):
		case <-ctx.Done():
			file.Close()
			return state{}, ctx.Err()
		}
	}
}

func (d *directory) file() string { return filepath.Join(d.path, "state.json") }

func (d *directory) load() (s state, err error) {
	text, err := os.ReadFile(d.file())
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		return s, fmt.Errorf("reading the state %s: %w; without the file new leases are issued, and those before end by themselves", d.file(), err)
	}
	return s, nil
}

func (d *directory) save(_ context.Context, s state) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the state: %w", err)
	}
	out := File{Path: d.file(), Mode: 0o600, uid: -1, gid: -1}
	return out.write(text)
}

func (d *directory) lost() <-chan struct{} { return nil }

func (d *directory) give() {
	if d.held != nil {
		_ = d.held.Close() // which unlocks
	}
}
