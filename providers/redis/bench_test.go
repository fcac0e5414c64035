package redis_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	driver "github.com/redis/go-redis/v9"

	"broker/providers"
	"broker/providers/redis"
	"broker/providers/redis/redistest"
)

// BenchmarkLeases makes 2 000 logins at concurrency 32 and removes them together, by the Backend and by a raw loop that
// gives a plain client the same commands, saving after each as the Backend's answers promise, or never:
//
//	go test ./providers/redis -run '^$' -bench Leases -benchtime 1x
func BenchmarkLeases(b *testing.B) {
	const logins, callers = 2000, 32
	own, err := redistest.Run(b.Context(), redistest.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer own.Close()
	own.MustPrepare(b)
	connection := own.Connection()
	settings, _ := redis.Provider{}.Describe().ValidateConnection(connection)
	options, _ := redis.Provider{}.Describe().ValidateOptions(own.Options())

	measure := func(b *testing.B, prefix string, make func(name string) error, remove func(names []string) error) {
		for range b.N {
			names := slices.Collect(func(yield func(string) bool) {
				for i := range logins {
					if !yield(fmt.Sprintf("%stest_%s%d", prefix, rand.Text()[:8], i)) {
						return
					}
				}
			})
			began := time.Now()
			var next atomic.Int64
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					for i := next.Add(1); i <= logins; i = next.Add(1) {
						if err := make(names[i-1]); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			made := time.Now()
			if err := remove(names); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(logins/made.Sub(began).Seconds(), "made/s")
			b.ReportMetric(logins/time.Since(made).Seconds(), "removed/s")
			if left, err := own.Logins(b.Context(), prefix); err != nil || len(left) > 0 {
				b.Errorf("%d logins are left, %v", len(left), err)
			}
		}
	}

	b.Run("backend", func(b *testing.B) {
		backend, err := redis.Provider{}.Open(settings, providers.Env{ClusterID: clusterID, Term: 1, Prefix: "brk_bnch_"})
		if err != nil {
			b.Fatal(err)
		}
		defer backend.Close()
		measure(b, "brk_bnch_", func(name string) error {
			_, err := backend.Create(b.Context(), providers.Grant{
				Login:   providers.Login{Name: providers.LoginName(name), Options: options},
				LeaseID: "01J0REDISTESTLEASE00000000", Deadline: time.Now().Add(time.Minute),
			})
			return err
		}, func(names []string) error {
			batch := make([]providers.Login, len(names))
			for i, name := range names {
				batch[i].Name = providers.LoginName(name)
			}
			for name, err := range backend.Revoke(b.Context(), batch) {
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
			return nil
		})
	})
	for _, saving := range []bool{true, false} {
		b.Run(fmt.Sprintf("raw/saving=%v", saving), func(b *testing.B) {
			client := driver.NewClient(&driver.Options{Addr: own.Address(), Username: redistest.AdminName, Password: own.AdminPassword, PoolSize: 8, Protocol: 2})
			defer client.Close()
			do := func(command ...any) error {
				if err := client.Do(b.Context(), command...).Err(); err != nil || !saving {
					return err
				}
				return client.Do(b.Context(), "ACL", "SAVE").Err()
			}
			measure(b, "raw_", func(name string) error {
				sum := sha256.Sum256([]byte(rand.Text()))
				return do("ACL", "SETUSER", name, "resetchannels", "~orders:*", "+@read", "#"+hex.EncodeToString(sum[:]), "on")
			}, func(names []string) error {
				for _, name := range names {
					if err := do("ACL", "DELUSER", name); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
}
