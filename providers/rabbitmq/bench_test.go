package rabbitmq_test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broker/providers"
	"broker/providers/rabbitmq"
	"broker/providers/rabbitmq/rabbitmqtest"
)

// BenchmarkLeases makes 2 000 logins at concurrency 32 and removes them together, by the Backend and by a raw loop of the
// requests without which there is no login, over as many connections:
//
//	go test ./providers/rabbitmq -run '^$' -bench Leases -benchtime 1x
func BenchmarkLeases(b *testing.B) {
	const logins, callers = 2000, 32
	settings, _ := rabbitmq.Provider{}.Describe().ValidateConnection(server.Connection())
	options, _ := rabbitmq.Provider{}.Describe().ValidateOptions(server.Options())

	together := func(b *testing.B, at int, names []string, do func(name string) error) {
		var next atomic.Int64
		var wg sync.WaitGroup
		for range at {
			wg.Go(func() {
				for i := int(next.Add(1)); i <= len(names); i = int(next.Add(1)) {
					if err := do(names[i-1]); err != nil {
						b.Error(err)
					}
				}
			})
		}
		wg.Wait()
	}
	measure := func(b *testing.B, prefix string, make func(name string) error, remove func(names []string)) {
		for range b.N {
			names := slices.Collect(func(yield func(string) bool) {
				for i := range logins {
					if !yield(fmt.Sprintf("%stest_%s%d", prefix, rand.Text()[:8], i)) {
						return
					}
				}
			})
			began := time.Now()
			together(b, callers, names, make)
			made := time.Now()
			remove(names)
			b.ReportMetric(logins/made.Sub(began).Seconds(), "made/s")
			b.ReportMetric(logins/time.Since(made).Seconds(), "removed/s")
			if left, err := server.Logins(b.Context(), prefix); err != nil || len(left) > 0 {
				b.Errorf("%d logins are left, %v", len(left), err)
			}
		}
	}

	b.Run("backend", func(b *testing.B) {
		backend, err := rabbitmq.Provider{}.Open(settings, providers.Env{ClusterID: clusterID, Term: 1, Prefix: "brk_bnch_"})
		if err != nil {
			b.Fatal(err)
		}
		defer backend.Close()
		measure(b, "brk_bnch_", func(name string) error {
			_, err := backend.Create(b.Context(), providers.Grant{
				Login:   providers.Login{Name: providers.LoginName(name), Options: options},
				LeaseID: "01J0RABBITTESTLEASE0000000", Deadline: time.Now().Add(time.Minute),
			})
			return err
		}, func(names []string) {
			batch := make([]providers.Login, len(names))
			for i, name := range names {
				batch[i].Name = providers.LoginName(name)
			}
			for name, err := range backend.Revoke(b.Context(), batch) {
				if err != nil {
					b.Errorf("%s: %v", name, err)
				}
			}
		})
	})
	b.Run("raw", func(b *testing.B) {
		vhost := url.PathEscape(rabbitmqtest.VHost)
		measure(b, "raw_", func(name string) error {
			_, err := server.Do(b.Context(), http.MethodPut, "users/"+name, map[string]string{"password": rand.Text(), "tags": ""})
			if err == nil {
				_, err = server.Do(b.Context(), http.MethodPut, "permissions/"+vhost+"/"+name, map[string]string{"configure": "^$", "write": "^$", "read": "^orders$"})
			}
			return err
		}, func(names []string) {
			together(b, 8, names, func(name string) error {
				_, err := server.Do(b.Context(), http.MethodDelete, "users/"+name, nil)
				return err
			})
		})
	})
}
