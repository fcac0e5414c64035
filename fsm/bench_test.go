package fsm

import (
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// issues returns the log entries of n issues, in batches as a busy leader's.
func issues(b testing.TB, from, n int) (prepare, activate []*raft.Log) {
	b.Helper()
	at := epoch.Add(time.Duration(from) * time.Millisecond).Time()
	entry := func(index int, body Body, key *IdempotencyKey) *raft.Log {
		c, err := NewCommand(body, at, Actor{Account: "alice", Token: "t1", Node: "n1", Address: "127.0.0.1:4711", UserAgent: "brokerctl/1"}, 1)
		if err != nil {
			b.Fatal(err)
		}
		c.Key = key
		data, err := c.Encode()
		if err != nil {
			b.Fatal(err)
		}
		return &raft.Log{Index: uint64(index), Term: 1, Data: data}
	}
	for i := range n {
		id := LeaseID(fmt.Sprintf("01JD%022d", from+i))
		key := NewKey("alice", "POST /api/v1/…/leases", string(id), []byte("{}"))
		prepare = append(prepare, entry(10+2*from+i, &PrepareLease{
			ID: id, Name: "orders-ro", Secret: "payments/production/orders-ro", SecretVersion: 4, System: 3, Account: "alice", Token: "t1",
			Username: "brk_abcd_orders_ro_" + string(id[10:]), TTL: time.Hour, CreateTTL: 10 * time.Second,
		}, key))
		activate = append(activate, entry(10+2*from+n+i, &ActivateLease{ID: id, Reply: make([]byte, 400), ReplyTTL: 5 * time.Minute}, nil))
	}
	return prepare, activate
}

// BenchmarkIssue measures what one issue costs the state machine, with as many live leases as named.
func BenchmarkIssue(b *testing.B) {
	for _, live := range []int{1_000, 100_000} {
		for _, batch := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("live=%d/batch=%d", live, batch), func(b *testing.B) {
				s := benchState(b, live)
				from := live
				b.ReportAllocs()
				for b.Loop() {
					b.StopTimer()
					prepare, activate := issues(b, from, batch)
					from += batch
					b.StartTimer()
					s.ApplyBatch(prepare)
					s.ApplyBatch(activate)
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*batch), "µs/issue")
			})
		}
	}
}

func benchState(b testing.TB, live int) *State {
	b.Helper()
	s, err := Open(Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	for i, body := range []Body{
		&InitCluster{ClusterID: "c1", Account: Account{Name: "alice", Kind: KindUser}, Token: Token{Accessor: "t1", Hash: []byte("hash"), Account: "alice"}},
		&CreateEnvironment{Name: "payments/production"},
		&CreateConnection{Name: "orders-db", Provider: "postgres", Environments: []Pattern{"payments/*"}, Settings: []byte("{}"), Sealed: []byte("x")},
		&CreateSecret{Name: "payments/production/orders-ro", Connection: "orders-db", Options: []byte("{}"), DefaultTTL: time.Hour, MaxTTL: 2 * time.Hour, Outputs: []Output{{Key: "DB_USER", Source: "username"}}},
	} {
		c, err := NewCommand(body, epoch.Time(), Actor{}, 1)
		if err != nil {
			b.Fatal(err)
		}
		data, err := c.Encode()
		if err != nil {
			b.Fatal(err)
		}
		if r := s.Apply(&raft.Log{Index: uint64(i + 1), Term: 1, Data: data}).(*Result); r.Refusal != nil {
			b.Fatal(r.Refusal)
		}
	}
	for from := 0; from < live; from += 1000 {
		prepare, activate := issues(b, from, 1000)
		for _, entries := range [][]*raft.Log{prepare, activate} {
			for _, r := range s.ApplyBatch(entries) {
				if refusal := r.(*Result).Refusal; refusal != nil {
					b.Fatal(refusal)
				}
			}
		}
	}
	return s
}
