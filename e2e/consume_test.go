package e2e

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"broker/api/client"
	"broker/api/types"
	"broker/docs/examples/rotate"
	"broker/providers/postgres/postgrestest"
)

var consumeOutage = flag.Duration("e2e.consume-outage", 3*time.Second, "for how long, and some seconds more, there is no broker while TestConsumersSurvive queries; it lasts for about three times that and a minute")

// childVariable has the test binary be the command of a "brokerctl run": a program with a pool, at the database that
// the variable names.
const childVariable = "E2E_CHILD_DATABASE"

// poolChild queries by a pool until it gets SIGTERM, and prints how often. It fails with the first query that does.
func poolChild(url string) int {
	stopped, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	lent, err := rotate.Borrow()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	pool, err := rotate.Pool(context.Background(), url, lent)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer pool.Close()
	fmt.Println("began")
	users, err := queries(stopped, func(ctx context.Context) (user string, err error) {
		err = pool.QueryRow(ctx, "SELECT session_user FROM orders LIMIT 1").Scan(&user)
		return user, err
	})
	fmt.Printf("%d logins, %v\n", len(users), err)
	if err != nil {
		return 1
	}
	return 0
}

// queries asks by four goroutines until the context ends or a query fails. It returns by which logins.
func queries(until context.Context, query func(context.Context) (user string, err error)) (map[string]int, error) {
	var (
		mu      sync.Mutex
		asking  sync.WaitGroup
		failure error
		stop    atomic.Bool
	)
	users := map[string]int{}
	for range 4 {
		asking.Go(func() {
			for until.Err() == nil && !stop.Load() {
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				user, err := query(ctx)
				cancel()
				mu.Lock()
				users[user]++
				if err != nil && failure == nil {
					failure = fmt.Errorf("at %s: %w", time.Now().Format(time.TimeOnly), err)
					stop.Store(true)
				}
				mu.Unlock()
				<-time.After(5 * time.Millisecond)
			}
		})
	}
	asking.Wait()
	return users, failure
}

// leased is a "brokerctl run" of a command.
type leased struct {
	*exec.Cmd
	err bytes.Buffer
}

func (h *house) run(args, env []string, command ...string) *leased {
	h.t.Helper()
	l := &leased{Cmd: exec.Command(filepath.Join(binDir, "brokerctl"), append(append(append([]string{"run", secretName}, args...), "--"), command...)...)}
	l.Env = append(append(os.Environ(), "BROKER_ADDR="+strings.Join(h.addrs, ","), "BROKER_TOKEN="+h.token), env...)
	l.Stderr = &l.err
	return l
}

// TestConsumersSurvive: the pool of a command under "brokerctl run" and one by the Go client live through three ends of
// their leases' longest life, the leader's death and a time without any broker in which their leases would have been
// replaced, and no query fails.
func TestConsumersSurvive(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.client()
	// A third of the last life is longer than there is no broker: the nodes may take a quarter of a minute to be back.
	const overlap = 2 * time.Second
	short, long := 15*time.Second, 4**consumeOutage+50*time.Second
	longest := func(life time.Duration) {
		t.Helper()
		max := types.Duration(life)
		must(t)(c.UpdateSecret(t.Context(), secretName, types.SecretChange{DefaultTTL: &max, MaxTTL: &max}))
	}
	longest(short)
	url := fmt.Sprintf("postgres://127.0.0.1:%d/%s?sslmode=disable", h.pg.Port, postgrestest.Database)

	// Both ask for more than they get, so that each lease is of the longest life that the secret has at the time.
	child := h.run([]string{"--ttl", long.String(), "--overlap", overlap.String(), "--at-max", "signal=HUP", "--label", "by=run"}, []string{childVariable + "=" + url}, os.Args[0])
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { child.Process.Kill() })
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "began" {
		t.Fatalf("the child says %q\n%s", lines.Text(), child.err.String())
	}
	ask := types.Duration(long)
	keeper, err := c.Keep(t.Context(), client.KeepConfig{Secret: secretName, Spec: types.IssueSpec{TTL: &ask, Labels: map[string]string{"by": "keep"}}, Overlap: overlap, Notify: func(e client.KeepEvent) {
		t.Log(time.Now().Format(time.TimeOnly), e.Kind, e.Lease.ID, e.Err)
	}})
	if err != nil {
		t.Fatal(err)
	}
	db, err := rotate.DB(url, keeper)
	if err != nil {
		t.Fatal(err)
	}
	until, stop := context.WithCancel(t.Context())
	defer stop()
	type result struct {
		users map[string]int
		err   error
	}
	done := make(chan result, 1)
	go func() {
		users, err := queries(until, func(ctx context.Context) (user string, err error) {
			err = db.QueryRowContext(ctx, "SELECT session_user FROM orders LIMIT 1").Scan(&user)
			return user, err
		})
		done <- result{users, err}
	}()
	// leases waits until both have had so many leases, and returns the younger one of those that they have now.
	leases := func(count int) types.Lease {
		t.Helper()
		var newest types.Lease
		eventually(t, time.Minute, fmt.Sprintf("both have lease %d", count), func() bool {
			for _, by := range []string{"run", "keep"} {
				page, err := c.ListLeases(t.Context(), client.LeaseSelector{Labels: map[string]string{"by": by}}, client.ListOptions{})
				if err != nil || len(page.Items) < count {
					return false
				}
				for _, one := range page.Items {
					if one.CreatedAt.After(newest.CreatedAt) {
						newest = one
					}
				}
			}
			return true
		})
		return newest
	}

	h.killRun(c)
	leases(2)
	leader, _ := h.leader()
	h.mustDevcluster("kill", fmt.Sprint(leader))
	h.mustDevcluster("start", fmt.Sprint(leader))
	longest(long)
	newest := leases(3)
	replacing := newest.CreatedAt.Add(newest.ExpiresAt.Sub(newest.CreatedAt)*2/3 - overlap)
	<-time.After(time.Until(replacing.Add(-*consumeOutage / 2)))
	for n := 1; n <= 3; n++ {
		h.mustDevcluster("kill", fmt.Sprint(n))
	}
	began := time.Now()
	<-time.After(*consumeOutage)
	h.mustDevcluster("up", "--nodes", "3")
	t.Logf("there was no broker for %s", time.Since(began).Round(time.Millisecond))
	leases(4)
	<-time.After(2500 * time.Millisecond) // the overlap of the third

	stop()
	got := <-done
	if got.err != nil || len(got.users) < 4 {
		t.Errorf("the pool of the Go client used %v: %v", got.users, got.err)
	}
	current := keeper.Current().Lease
	if before, err := c.GetLease(t.Context(), current.Replaces); err != nil || before.ReplacedBy != current.ID {
		t.Errorf("lease %s replaces %s, which knows of %q: %v", current.ID, current.Replaces, before.ReplacedBy, err)
	}
	began = time.Now()
	child.Process.Signal(syscall.SIGTERM)
	lines.Scan()
	if err := child.Wait(); err != nil || lines.Text() < "4 logins" {
		t.Errorf("the child says %q: %v\n%s", lines.Text(), err, child.err.String())
	}
	t.Logf("the command and its leases ended within %s", time.Since(began).Round(time.Millisecond))
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if err := keeper.Close(); err != nil {
		t.Error(err)
	}
	if left := h.logins(); len(left) > 0 {
		t.Errorf("logins are left: %v", left)
	}
}

// killRun kills a "brokerctl run" outright: that leaves its command to end and its lease to the broker.
func (h *house) killRun(c *client.Client) {
	h.t.Helper()
	killed := h.run([]string{"--ttl", "3s", "--label", "fate=killed"}, nil, "sleep", "300")
	if err := killed.Start(); err != nil {
		h.t.Fatal(err)
	}
	live := func() bool {
		page, err := c.ListLeases(h.t.Context(), client.LeaseSelector{Labels: map[string]string{"fate": "killed"}, States: []string{"active", "revoking"}}, client.ListOptions{})
		if err != nil {
			h.t.Fatal(err)
		}
		return len(page.Items) > 0
	}
	eventually(h.t, 30*time.Second, "a lease of the command that will be killed", live)
	began := time.Now()
	killed.Process.Kill()
	killed.Wait()
	eventually(h.t, 30*time.Second, "the lease of a killed command is gone", func() bool { return !live() })
	if took := time.Since(began); took > 8*time.Second {
		h.t.Errorf("a lease of 3s outlived its killed command by %s", took)
	}
}
