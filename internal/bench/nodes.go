package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"broker/api/client"
	"broker/api/types"
	"broker/providers/postgres/postgrestest"
)

const nodeCount = 3

// node is one brokerd process and where it is found.
type node struct {
	id                         string
	dir                        string
	api, cluster, gossip, prof string
	cmd                        *exec.Cmd
	exited                     chan struct{}
}

func (n *node) pid() int    { return n.cmd.Process.Pid }
func (n *node) url() string { return "http://" + n.api }

// house is three nodes and what they lease from.
type house struct {
	o      *options
	dir    string
	token  string
	nodes  [nodeCount]*node
	pg     *postgrestest.Server // nil: none
	pgRoot string               // the root account's password
	client *client.Client
}

// newHouse starts the nodes and, if wanted, PostgreSQL.
func newHouse(ctx context.Context, o *options, withPostgres bool) (h *house, err error) {
	h = &house{o: o}
	if o.dir != "" {
		if err := os.MkdirAll(o.dir, 0o700); err != nil {
			return nil, err
		}
	}
	if h.dir, err = os.MkdirTemp(o.dir, "bench-"); err != nil {
		return nil, err
	}
	if o.keep {
		say("data, logs and profiles: %s", h.dir)
	}
	defer func() {
		if err != nil {
			h.close()
		}
	}()
	ports, err := freePorts(4 * nodeCount)
	if err != nil {
		return nil, err
	}
	for i := range h.nodes {
		p := ports[4*i : 4*i+4]
		id := fmt.Sprintf("node%d", i+1)
		h.nodes[i] = &node{id: id, dir: filepath.Join(h.dir, id), api: p[0], cluster: p[1], gossip: p[2], prof: p[3]}
		if err := h.start(ctx, i); err != nil {
			return nil, err
		}
	}
	token, err := os.ReadFile(filepath.Join(h.dir, "admin-token"))
	if err != nil {
		return nil, err
	}
	h.token = strings.TrimSpace(string(token))
	if h.client, err = h.clientOf(); err != nil {
		return nil, err
	}
	if err := h.until(ctx, time.Minute, "all nodes are members", func() bool {
		status, err := h.client.GetCluster(ctx)
		voters := 0
		for _, m := range status.Members {
			if m.Voter {
				voters++
			}
		}
		return err == nil && status.Leader != "" && voters == nodeCount
	}); err != nil {
		return nil, err
	}
	if withPostgres {
		if err := h.startPostgres(ctx); err != nil {
			return nil, err
		}
	}
	_, err = h.client.CreateEnvironment(ctx, types.EnvironmentSpec{Name: environment})
	return h, err
}

// freePorts returns addresses on loopback that were free a moment ago, below the range that the system
// gives to clients: a node comes back where the others look for it.
func freePorts(n int) (addresses []string, err error) {
	for range 100 * n {
		l, listenErr := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000)))
		if listenErr != nil {
			err = listenErr
			continue
		}
		defer l.Close()
		if addresses = append(addresses, l.Addr().String()); len(addresses) == n {
			return addresses, nil
		}
	}
	return nil, fmt.Errorf("looking for free ports: %w", err)
}

// start starts a node and waits until it answers.
func (h *house) start(ctx context.Context, i int) error {
	n := h.nodes[i]
	args := []string{
		"server", "--node-id", n.id, "--data-dir", filepath.Join(n.dir, "data"), "--join-token-file", filepath.Join(h.dir, "join-token"),
		"--api-listen", n.api, "--cluster-listen", n.cluster, "--gossip-listen", n.gossip, "--debug-listen", n.prof, "--bench-providers", "--timing", h.o.timing, "--account-rate", "0", // one account asks for everything
	}
	if i == 0 {
		args = append(args, "--init", "--admin-roles", "developer", "--admin-token-file", filepath.Join(h.dir, "admin-token"), "--recovery-shares-file", filepath.Join(h.dir, "recovery-shares"))
	} else {
		args = append(args, "--join", h.nodes[0].cluster)
	}
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(n.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(h.o.brokerd, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started, exited := make(chan error), make(chan struct{})
	go func() {
		// The kernel takes the death of the thread that forked for the death of the parent.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(exited)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its log
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("starting %s: %w", n.id, err)
	}
	n.cmd, n.exited = cmd, exited
	return h.until(ctx, 2*time.Minute, n.id+" answers", func() bool {
		select {
		case <-n.exited:
			return false
		default:
		}
		return h.answers(n, "/healthz")
	})
}

func (h *house) answers(n *node, path string) bool {
	quick := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := quick.Get(n.url() + path)
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// until waits for something.
func (h *house) until(ctx context.Context, within time.Duration, what string, holds func() bool) error {
	deadline := time.Now().Add(within)
	for !holds() {
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %s: %s; see the logs in %s", within, what, h.dir)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

// kill ends a node as a crash would.
func (h *house) kill(i int) {
	n := h.nodes[i]
	if n != nil && n.cmd != nil {
		_ = n.cmd.Process.Kill() // it may be gone
		<-n.exited
	}
}

// signal sends a node a signal.
func (h *house) signal(i int, s syscall.Signal) error { return h.nodes[i].cmd.Process.Signal(s) }

// stop ends a node gracefully.
func (h *house) stop(i int) error {
	if err := h.signal(i, syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-h.nodes[i].exited:
		return nil
	case <-time.After(time.Minute):
		return fmt.Errorf("%s does not stop; see the logs in %s", h.nodes[i].id, h.dir)
	}
}

// close ends everything and removes it.
func (h *house) close() {
	for i := range h.nodes {
		h.kill(i)
	}
	if h.pg != nil {
		if err := h.pg.Close(); err != nil {
			say("stopping PostgreSQL: %v", err)
		}
	}
	if h.client != nil {
		h.client.Close()
	}
	if !h.o.keep {
		if err := os.RemoveAll(h.dir); err != nil {
			say("removing %s: %v", h.dir, err)
		}
	}
}

// clientOf returns a client of the given nodes; without any, of all.
func (h *house) clientOf(nodes ...int) (*client.Client, error) {
	var addresses []string
	for _, i := range nodes {
		addresses = append(addresses, h.nodes[i].url())
	}
	if len(nodes) == 0 {
		for _, n := range h.nodes {
			addresses = append(addresses, n.url())
		}
	}
	return client.New(client.Config{Addresses: addresses, Token: h.token})
}

// leader waits until the nodes know who leads and returns the place of that node.
func (h *house) leader(ctx context.Context) (int, error) {
	found := -1
	err := h.until(ctx, 3*time.Minute, "somebody leads", func() bool {
		status, err := h.client.GetCluster(ctx)
		if err != nil || status.Leader == "" {
			return false
		}
		for i, n := range h.nodes {
			if n.id == status.Leader && h.answers(n, "/readyz") {
				found = i
			}
		}
		return found >= 0
	})
	return found, err
}

// roles returns the leader, the follower that clients speak to, and the other one.
func (h *house) roles(ctx context.Context) (leader, asked, other int, err error) {
	leader, err = h.leader(ctx)
	return leader, (leader + 1) % nodeCount, (leader + 2) % nodeCount, err
}

// term returns the term that the cluster is in.
func (h *house) term(ctx context.Context) (uint64, error) {
	status, err := h.client.GetCluster(ctx)
	return status.Term, err
}

func (h *house) startPostgres(ctx context.Context) (err error) {
	if h.pg, err = postgrestest.Run(ctx, postgrestest.Config{Dir: filepath.Join(h.dir, "postgres")}); err != nil {
		return err
	}
	if h.pgRoot, err = h.pg.Prepare(ctx); err != nil {
		return err
	}
	// Tests look into the log for what must not be there; for a measurement it is only in the way.
	settings := []string{"ALTER SYSTEM SET log_statement = 'none'", "ALTER SYSTEM SET log_connections = off", "ALTER SYSTEM SET log_disconnections = off"}
	if h.o.fsync {
		settings = append(settings, "ALTER SYSTEM SET fsync = on", "ALTER SYSTEM SET full_page_writes = on")
	}
	return h.pg.SQL(ctx, "postgres", append(settings, "SELECT pg_reload_conf()")...)
}

// pgPid is the process of PostgreSQL that all others descend from; 0 without one.
func (h *house) pgPid() int {
	if h.pg == nil {
		return 0
	}
	content, err := os.ReadFile(filepath.Join(h.pg.Data(), "postmaster.pid"))
	if err != nil {
		return 0
	}
	var pid int
	_, _ = fmt.Sscan(string(content), &pid) // 0 when it cannot be told
	return pid
}

// usage is CPU time by who used it.
type used struct {
	leader, asked, other, pg, bench, rest time.Duration
}

func (u used) brokers() time.Duration { return u.leader + u.asked + u.other }

// meter returns a function that tells what was used since.
func (h *house) meter(leader, asked, other int) func() used {
	pg := h.pgPid()
	look := func() (u used) {
		u.leader, u.asked, u.other = cpuOf(h.nodes[leader].pid()), cpuOf(h.nodes[asked].pid()), cpuOf(h.nodes[other].pid())
		if pg > 0 {
			u.pg = cpuOfTree(pg)
		}
		u.bench = cpuOf(os.Getpid())
		u.rest = busy() - u.brokers() - u.pg - u.bench
		return u
	}
	before := look()
	return func() used {
		after := look()
		return used{
			after.leader - before.leader, after.asked - before.asked, after.other - before.other,
			after.pg - before.pg, after.bench - before.bench, max(0, after.rest-before.rest),
		}
	}
}
