package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// places are where a broker's time may go: functions with all that they call. They overlap, and each
// stands for its own share.
var places = []struct{ what, function string }{
	{"serving HTTP to clients and nodes, all in all", "net/http.(*conn).serve"},
	{"serving HTTP/2 from other nodes", "net/http.(*http2serverConn).runHandler"},
	{"all handlers of the API", "broker/api.(*Server).name"},
	{"identifying the token", "broker/api.(*Server).identify"},
	{"forwarding to the leader", "broker/api.(*Server).forward"},
	{"issuing: plan, propose, create, answer", "broker/broker.(*Broker).Issue"},
	{"trials of commands", "broker/fsm.(*State).Try"},
	{"applying commands", "broker/fsm.(*State).ApplyBatch"},
	{"… committing the state file", "go.etcd.io/bbolt.(*Tx).Commit"},
	{"reading the state", "broker/fsm.(*State).View"},
	{"writing the log", "broker/cluster.(*journal).StoreLogs"},
	{"flushing to disk", "syscall.fdatasync"},
	{"Raft's messages, sending", "github.com/hashicorp/raft.(*Raft).replicateTo"},
	{"Raft's messages, receiving", "github.com/hashicorp/raft.(*NetworkTransport).handleConn"},
	{"CBOR", "github.com/fxamacker/cbor/v2"},
	{"JSON", "encoding/json"},
	{"huma", "github.com/danielgtaylor/huma/v2"},
	{"writing the daemon's own log", "log/slog.(*Logger).LogAttrs"},
	{"hashing of passwords", "crypto/pbkdf2"},
	{"PostgreSQL's driver", "github.com/jackc/pgx/v5"},
	{"collecting garbage", "runtime.gcBgMarkWorker"},
	{"system calls", "internal/runtime/syscall.Syscall6"},
	{"scheduling and waiting", "runtime.schedule"},
}

// profile runs one more round of a contestant and says where leader and follower spent it.
func (h *house) profile(ctx context.Context, name string, c *contestant) ([]*table, error) {
	if c == nil {
		return nil, nil
	}
	leader, asked, _, err := h.roles(ctx)
	if err != nil {
		return nil, err
	}
	if c.before != nil {
		if err := c.before(ctx); err != nil {
			return nil, err
		}
	}
	t := &table{Name: name + "-profile", Title: fmt.Sprintf("where the CPU time of %s with %d clients goes", c.name, c.clients), Columns: []string{"", "leader %", "asked %"}}
	names := []string{"leader", "asked"}
	var files [2]string
	var failures [2]error
	var taking sync.WaitGroup
	for i, n := range []int{leader, asked} {
		files[i] = filepath.Join(h.dir, name+"-"+names[i])
		taking.Go(func() {
			failures[i] = h.fetch(ctx, n, fmt.Sprintf("profile?seconds=%d", max(1, int(h.o.duration.Seconds())-1)), files[i]+".cpu")
		})
	}
	_, err = c.round(ctx, c.clients, h.o.duration)
	taking.Wait()
	for i, n := range []int{leader, asked} {
		if err == nil {
			err = failures[i]
		}
		if err == nil {
			err = h.fetch(ctx, n, "allocs", files[i]+".allocs")
		}
	}
	if err != nil {
		return nil, err
	}
	var shares [2]map[string]float64
	for i, file := range files {
		if shares[i], err = top(ctx, file+".cpu"); err != nil {
			return nil, err
		}
	}
	for _, p := range places {
		a, b := share(shares[0], p.function), share(shares[1], p.function)
		if a >= 0.5 || b >= 0.5 {
			t.row(p.what, a, b)
		}
	}
	t.note("shares hold what a place calls, so they overlap")
	if h.o.keep {
		t.note("profiles: %s-*", filepath.Join(h.dir, name))
	}
	return []*table{t}, nil
}

// fetch stores one of a node's profiles.
func (h *house) fetch(ctx context.Context, i int, what, file string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+h.nodes[i].prof+"/debug/pprof/"+what, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("taking profile %s: %s: %s", what, answer.Status, content)
	}
	return os.WriteFile(file, content, 0o600)
}

// top returns the share of each function with what it calls, in percent.
func top(ctx context.Context, file string) (map[string]float64, error) {
	out, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-cum", "-nodecount=100000", "-nodefraction=0", file).Output()
	if err != nil {
		return nil, fmt.Errorf("reading profile %s: %w", file, err)
	}
	shares := map[string]float64{}
	for line := range strings.Lines(string(out)) {
		// flat flat% sum% cum cum% name
		fields := strings.Fields(line)
		if len(fields) < 6 || !strings.HasSuffix(fields[4], "%") {
			continue
		}
		percent, err := strconv.ParseFloat(strings.TrimSuffix(fields[4], "%"), 64)
		if err == nil {
			shares[strings.Join(fields[5:], " ")] = percent
		}
	}
	return shares, nil
}

// share is that of a function or its closures, or that of the costliest function of a package.
func share(shares map[string]float64, place string) (most float64) {
	for name, percent := range shares {
		if strings.HasPrefix(name, place) {
			most = max(most, percent)
		}
	}
	return most
}
