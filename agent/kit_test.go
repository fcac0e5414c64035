package agent

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"broker/api/client"
	"broker/api/client/clienttest"
)

// kit is a machine with agents on it, one after the other, in a bubble: a broker without a network and a directory.
type kit struct {
	*testing.T
	ledger *clienttest.Ledger
	dir    string
	api    *kubernetes // nil: there is no Kubernetes

	mu  sync.Mutex
	log bytes.Buffer
}

func newKit(t *testing.T) *kit {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent") // whose name YAML takes as it is
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return &kit{T: t, ledger: &clienttest.Ledger{}, dir: dir}
}

// Write takes the log.
func (k *kit) Write(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.log.Write(p)
}

func (k *kit) said() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.log.String()
}

func (k *kit) path(name string) string { return filepath.Join(k.dir, name) }

// read returns what is in a file, empty when there is none.
func (k *kit) read(name string) string {
	text, err := os.ReadFile(k.path(name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		k.Error(err)
	}
	return strings.TrimSpace(string(text))
}

// running is an agent that works.
type running struct {
	*kit
	*session
	born  time.Time
	ended chan error
	cut   context.CancelFunc
}

// start has an agent work with a configuration, in which DIR is the kit's directory, on a store, which is a directory when it
// is nil.
func (k *kit) start(config string, keep store) *running {
	k.Helper()
	path := k.path("agent.yaml")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll("state: DIR/state\n"+config, "DIR", k.dir)), 0o600); err != nil {
		k.Fatal(err)
	}
	c, err := Load(path)
	if err != nil {
		k.Fatal(err)
	}
	if keep == nil {
		keep = &directory{path: k.path("state")}
	}
	known, err := keep.take(k.Context(), func(state) {})
	if err != nil {
		k.Fatal(err)
	}
	broker, err := client.New(client.Config{Addresses: []string{"http://127.0.0.1:1"}, Transport: k.ledger})
	if err != nil {
		k.Fatal(err)
	}
	a := &agent{Options: Options{Config: c, Log: slog.New(slog.NewTextHandler(k, nil))}, metrics: newMetrics()}
	r := &running{kit: k, session: newSession(a, broker, keep, known, k.api), born: time.Now(), ended: make(chan error, 1)}
	var ctx context.Context
	ctx, r.cut = context.WithCancel(k.Context())
	if m, ok := keep.(*mortal); ok {
		m.kill = r.cut
	}
	go func() { r.ended <- r.work(ctx) }()
	return r
}

// stop ends an agent.
func (r *running) stop() {
	r.kit.Helper()
	r.cut()
	if err := <-r.ended; err != nil && !errors.Is(err, errDead) {
		r.Error(err)
	}
	r.keep.give()
}

// stopAfter lets time go by and ends the agent.
func (r *running) stopAfter(after time.Duration, files ...string) {
	r.kit.Helper()
	r.pass(after, files...)
	r.stop()
}

// pass lets time go by. Each second that there is a file the lease whose values it has must be alive, if there is one of a name.
func (k *kit) pass(d time.Duration, files ...string) {
	k.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(time.Second)
		synctest.Wait()
		for _, name := range files {
			if user := k.read(name); user != "" && !slices.Contains(k.ledger.Live(), strings.TrimPrefix(user, "u")) {
				k.Fatalf("%s has %s, alive are %v\n%s", name, user, k.ledger.Live(), k.said())
			}
		}
	}
}

// errDead is what comes of what a dead agent does.
var errDead = errors.New("it is dead")

// mortal is a store whose agent dies at one of its saves, before it or after it.
type mortal struct {
	store
	dies func(state) bool // at this one
	late bool             // after it
	kill context.CancelFunc
	dead bool
}

func (m *mortal) save(ctx context.Context, s state) error {
	if m.dead {
		return errDead
	}
	m.dead = m.dies(s)
	if m.dead {
		m.kill()
		if !m.late {
			return errDead
		}
	}
	return m.store.save(context.WithoutCancel(ctx), s)
}
