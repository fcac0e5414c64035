package postgres_test

import (
	"crypto/rand"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"broker/providers"
	"broker/providers/postgres"
	"broker/providers/postgres/postgrestest"
)

var sharings = flag.String("sharings", "", "ways to measure besides raw and what is set, as lanes×logins of a transaction, e.g. 2x32,8x4")

// sharing is a way in which calls share transactions.
type sharing struct {
	name        string
	lanes, most int // zero: as it is set
}

func allSharings() []sharing {
	all := []sharing{{"raw", 8, 1}, {name: "set"}}
	for one := range strings.FieldsFuncSeq(*sharings, func(r rune) bool { return r == ',' }) {
		lanes, most, _ := strings.Cut(one, "x")
		s := sharing{name: one}
		s.lanes, _ = strconv.Atoi(lanes) // a wrong one shows in the name
		s.most, _ = strconv.Atoi(most)
		all = append(all, s)
	}
	return all
}

// BenchmarkCreate compares creates with a transaction each over eight connections ("raw") with how they
// share them, at a server that writes its log to disk at each commit:
//
//	go test ./providers/postgres -run '^$' -bench 'Create|Renew' -benchtime 600x -count 3
func BenchmarkCreate(b *testing.B) {
	durable := durableServer(b)
	for _, iterations := range []int{4096, 64} {
		for _, callers := range []int{1, 8, 32} {
			for _, s := range allSharings() {
				b.Run(fmt.Sprintf("iterations=%d/callers=%d/%s", iterations, callers, s.name), func(b *testing.B) {
					backend, prefix := durable.open(b, s)
					durable.load(b, callers, func(i int) error {
						_, err := backend.Create(b.Context(), providers.Grant{
							Login:    durable.login(prefix, i, iterations),
							LeaseID:  "01J0POSTGRESTESTLEASE00000",
							Deadline: time.Now().Add(time.Minute),
						})
						return err
					})
					durable.drop(b, backend, prefix)
				})
			}
		}
	}
}

// BenchmarkRenew does so for calls that renew one login each.
func BenchmarkRenew(b *testing.B) {
	durable := durableServer(b)
	const logins = 256 // the broker has no two renewals of one lease at the same time, nor may this
	for _, callers := range []int{1, 8, 32} {
		for _, s := range allSharings() {
			b.Run(fmt.Sprintf("callers=%d/%s", callers, s.name), func(b *testing.B) {
				backend, prefix := durable.open(b, s)
				for i := range logins {
					if _, err := backend.Create(b.Context(), providers.Grant{Login: durable.login(prefix, i, 64), Deadline: time.Now().Add(time.Minute)}); err != nil {
						b.Fatal(err)
					}
				}
				durable.load(b, callers, func(i int) error {
					login := durable.login(prefix, i%logins, 64)
					login.ExpiresAt = login.ExpiresAt.Add(time.Hour + time.Duration(i)*time.Second)
					return backend.Renew(b.Context(), []providers.Login{login})[login.Name]
				})
				durable.drop(b, backend, prefix)
			})
		}
	}
}

// durable is a server that syncs and does not log statements, as in production.
type durable struct {
	server   *postgrestest.Server
	password string
}

func durableServer(b *testing.B) durable {
	b.Helper()
	d := durable{server: postgrestest.Start(b)}
	d.password = d.server.MustPrepare(b)
	d.server.MustExec(b, "postgres", "ALTER SYSTEM SET fsync = on", "ALTER SYSTEM SET full_page_writes = on",
		"ALTER SYSTEM SET log_statement = none", "SELECT pg_reload_conf()")
	return d
}

func (d durable) open(b *testing.B, s sharing) (providers.Backend, string) {
	b.Helper()
	settings, problems := postgres.Provider{}.Describe().ValidateConnection(connectionTo(d.server, d.password))
	if len(problems) > 0 {
		b.Fatal(problems)
	}
	prefix := providers.Prefix("brk_", providers.Cluster4(rand.Text()))
	backend, err := postgres.Provider{}.Open(settings, providers.Env{ClusterID: clusterID, Term: 1, Prefix: prefix})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { backend.Close() })
	if s.lanes > 0 {
		postgres.Share(backend, s.lanes, s.most)
	}
	return backend, prefix
}

func (d durable) login(prefix string, i, iterations int) providers.Login {
	return providers.Login{
		Name: providers.LoginName(fmt.Sprintf("%sbench_%d", prefix, i)), ExpiresAt: time.Now().Add(time.Hour),
		Options: providers.Options{"member_of": []string{postgrestest.ReadRole}, "scram_iterations": int64(iterations)},
	}
}

// load has the callers do b.N things and reports how many came about in a second, how long the slowest
// hundredth took at least, and what one cost the server's processors, which does not depend on what else
// the machine does.
func (d durable) load(b *testing.B, callers int, do func(i int) error) {
	b.Helper()
	numbers := make(chan int)
	var (
		calling sync.WaitGroup
		mu      sync.Mutex
		took    []time.Duration
	)
	spent := d.processorTime(b)
	b.ResetTimer()
	for range callers {
		calling.Go(func() {
			for i := range numbers {
				begun := time.Now()
				err := do(i)
				mu.Lock()
				took = append(took, time.Since(begun))
				mu.Unlock()
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	for i := range b.N {
		numbers <- i
	}
	close(numbers)
	calling.Wait()
	b.StopTimer()
	b.ReportMetric((d.processorTime(b)-spent).Seconds()*1e6/float64(b.N), "server-µs/op")
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "logins/s")
	b.ReportMetric(took[len(took)*99/100].Seconds()*1000, "p99-ms")
}

// processorTime is what the server's processes have used since it started.
func (d durable) processorTime(b *testing.B) time.Duration {
	b.Helper()
	content, err := os.ReadFile(filepath.Join(d.server.Data(), "postmaster.pid"))
	if err != nil {
		b.Fatal(err)
	}
	postmaster, _, _ := strings.Cut(string(content), "\n")
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		b.Fatal(err)
	}
	ticks := 0
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it ended meanwhile, and its parent has its time
		}
		// After the name: state, parent, …, own user and system time, that of children which ended.
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		counted := fields[11:13]
		switch {
		case filepath.Base(filepath.Dir(path)) == postmaster:
			counted = fields[11:15]
		case fields[1] != postmaster:
			continue
		}
		for _, text := range counted {
			n, _ := strconv.Atoi(text) // the kernel writes numbers
			ticks += n
		}
	}
	return time.Duration(ticks) * time.Second / 100
}

// drop removes what a benchmark made.
func (d durable) drop(b *testing.B, backend providers.Backend, prefix string) {
	b.Helper()
	for {
		var some []providers.Login
		for found, err := range backend.List(b.Context(), prefix) {
			if err != nil {
				b.Fatal(err)
			}
			if some = append(some, providers.Login{Name: found.Name}); len(some) == 100 {
				break
			}
		}
		if len(some) == 0 {
			return
		}
		for name, err := range backend.Revoke(b.Context(), some) {
			if err != nil {
				b.Fatalf("dropping %s: %v", name, err)
			}
		}
	}
}
