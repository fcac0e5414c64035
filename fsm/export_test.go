package fsm

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"
	"go.etcd.io/bbolt"
)

// bufferSink is a snapshot sink in memory.
type bufferSink struct{ bytes.Buffer }

func (*bufferSink) ID() string    { return "test" }
func (*bufferSink) Cancel() error { return nil }
func (*bufferSink) Close() error  { return nil }

func mustSnapshot(t *testing.T, s *State) []byte {
	t.Helper()
	snap, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Release()
	sink := &bufferSink{}
	if err := snap.Persist(sink); err != nil {
		t.Fatal(err)
	}
	return sink.Bytes()
}

func mustRestore(t *testing.T, from *State) *State {
	t.Helper()
	to := mustOpen(t)
	if err := to.Restore(readCloser{bufio.NewReader(bytes.NewReader(mustSnapshot(t, from)))}); err != nil {
		t.Fatal(err)
	}
	return to
}

type readCloser struct{ *bufio.Reader }

func (readCloser) Close() error { return nil }

func mustExport(t testing.TB, s *State) *Export {
	t.Helper()
	e, err := s.Export()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// What is applied while a copy is read is not in it.
func TestExportIsOfOneIndex(t *testing.T) {
	p := newPlayer(t)
	p.play("< base.txt\n", false)
	want := dump(t, p.state)
	e := mustExport(t, p.state)
	defer e.Close()
	p.step(`1m create_environment {"Name":"payments/later"}`)
	var content bytes.Buffer
	if _, err := e.WriteTo(&content); err != nil {
		t.Fatal(err)
	}
	if e.Meta.Index != 4 || e.Counts["secrets"] != 1 {
		t.Errorf("says it is of index %d with %v", e.Meta.Index, e.Counts)
	}
	restored := mustOpen(t)
	if err := restored.Restore(io.NopCloser(&content)); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, dump(t, restored)); d != "" {
		t.Errorf("the copy is another state (-want +got):\n%s", d)
	}
}

// A copy that is not written to its end keeps the node neither from the leader's snapshot nor from stopping.
func TestExportGivesWay(t *testing.T) {
	p := newPlayer(t)
	p.play("< base.txt\n", false)
	copied := mustSnapshot(t, p.state)
	for _, c := range []struct {
		replace func() error
		want    error
	}{
		{func() error { return p.state.Restore(io.NopCloser(bytes.NewReader(copied))) }, errReplaced},
		{p.state.Close, ErrClosed},
	} {
		e := mustExport(t, p.state)
		replaced := make(chan error, 1)
		go func() { replaced <- c.replace() }()
		<-e.Ended()
		if _, err := e.WriteTo(io.Discard); !errors.Is(err, c.want) || !errors.Is(e.Err(), c.want) {
			t.Errorf("writing goes on: %v, want %v", err, c.want)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		if err := <-replaced; err != nil {
			t.Error(err)
		}
	}
}

var exportLive = flag.Int("live", 10_000, "how many live leases there are where copies of a large state are made")

// A copy is restored row by row as it was taken, while the original goes on: every bucket, indexes included. With
// a million live leases: -run RowByRow -live 1000000.
func TestRestoredRowByRow(t *testing.T) {
	s := benchState(t, *exportLive)
	e := mustExport(t, s)
	var packed bytes.Buffer
	var writing sync.WaitGroup
	writing.Go(func() {
		if _, err := e.WriteTo(&packed); err != nil {
			t.Error(err)
		}
	})
	for i := range 20 { // what happens meanwhile is not part of it
		prepare, activate := issues(t, *exportLive+i*50, 50)
		s.ApplyBatch(prepare)
		s.ApplyBatch(activate)
	}
	writing.Wait()
	began := time.Now()
	to := mustOpen(t)
	if err := to.Restore(readCloser{bufio.NewReader(&packed)}); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	rows := 0
	mustView(t, to, func(v *View) {
		if got, want := v.Meta(), e.Meta; got.Index != want.Index || !bytes.Equal(got.Hash, want.Hash) {
			t.Errorf("restored at index %d with hash %x, want %d, %x", got.Index, got.Hash, want.Index, want.Hash)
		}
		for _, name := range buckets() {
			a, b := e.tx.Bucket([]byte(name)).Cursor(), v.tx.Bucket([]byte(name)).Cursor()
			for ka, va, kb, vb := firstRows(a, b); ka != nil || kb != nil; ka, va, kb, vb = nextRows(a, b) {
				if !bytes.Equal(ka, kb) || !bytes.Equal(va, vb) {
					t.Fatalf("%s: row %x became %x", name, ka, kb)
				}
				rows++
			}
		}
		if n := v.LeaseCounts()[Active]; n != uint64(*exportLive) {
			t.Errorf("%d leases are active, want %d", n, *exportLive)
		}
	})
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	t.Logf("%d rows of %d leases are the same; restoring took %s", rows, *exportLive, took.Round(time.Millisecond))
}

func firstRows(a, b *bbolt.Cursor) (ka, va, kb, vb []byte) {
	ka, va = a.First()
	kb, vb = b.First()
	return ka, va, kb, vb
}

func nextRows(a, b *bbolt.Cursor) (ka, va, kb, vb []byte) {
	ka, va = a.Next()
	kb, vb = b.Next()
	return ka, va, kb, vb
}

// runQueue is how long this thread has waited for a processor: other programs' load is nobody's fault here.
// It is zero where the system does not tell.
func runQueue() time.Duration {
	data, err := os.ReadFile("/proc/thread-self/schedstat")
	fields := strings.Fields(string(data))
	if err != nil || len(fields) < 2 {
		return 0
	}
	ns, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(ns)
}

// BenchmarkExport measures the longest time that Apply takes while a large state is being copied, and the
// same without a copy. With a million live leases: -bench Export -live 1000000.
func BenchmarkExport(b *testing.B) {
	s := benchState(b, *exportLive)
	from := *exportLive
	for _, copying := range []bool{false, true} {
		b.Run(map[bool]string{false: "alone", true: "copying"}[copying], func(b *testing.B) {
			var took []time.Duration
			var size int64
			b.StopTimer()
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for range b.N {
				done := make(chan int64)
				var reading sync.WaitGroup
				reading.Go(func() {
					if !copying {
						time.AfterFunc(3*time.Second, func() { close(done) })
						return
					}
					defer close(done)
					e := mustExport(b, s)
					defer e.Close()
					n, err := e.WriteTo(io.Discard)
					if err != nil {
						b.Error(err)
					}
					size = n
				})
				for running := true; running; {
					prepare, activate := issues(b, from, 16)
					from += 16
					for _, entries := range [][]*raft.Log{prepare, activate} {
						began, waited := time.Now(), runQueue()
						s.ApplyBatch(entries)
						took = append(took, time.Since(began)-(runQueue()-waited))
					}
					select {
					case <-done:
						running = false
					default:
					}
				}
				reading.Wait()
			}
			slices.Sort(took)
			within, _ := slices.BinarySearch(took, 50*time.Millisecond)
			b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "ms-longest-apply")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms-p99")
			b.ReportMetric(float64(len(took)-within), "over-50ms")
			b.ReportMetric(float64(len(took)), "batches")
			b.ReportMetric(float64(size)/1e6, "MB")
		})
	}
}
