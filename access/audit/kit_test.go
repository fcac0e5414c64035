package audit_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"broker/access"
	"broker/access/audit"
	"broker/access/audit/chain"
)

// hasher stands in for the keyring.
type hasher struct{}

func (hasher) Hash(purpose, value string) ([]byte, error) {
	sum := sha256.Sum256([]byte(purpose + "\x00" + value))
	return sum[:], nil
}

// disk opens files that fail when a test says so.
type disk struct {
	mu      sync.Mutex
	err     error         // of writes; nil: they succeed
	part    int           // how much of a write that fails is written
	syncErr error         // of flushes
	hold    chan struct{} // not nil: writes wait until it is closed
	writes  int
}

func (d *disk) set(err error, part int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err, d.part = err, part
}

func (d *disk) open(path string) (audit.File, error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o600)
	return &diskFile{f, d}, err
}

type diskFile struct {
	*os.File
	disk *disk
}

func (f *diskFile) Write(data []byte) (int, error) {
	f.disk.mu.Lock()
	err, part, hold := f.disk.err, f.disk.part, f.disk.hold
	f.disk.writes++
	f.disk.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if err != nil {
		n, _ := f.File.Write(data[:min(part, len(data))])
		return n, err
	}
	return f.File.Write(data)
}

func (f *diskFile) Sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.syncErr != nil {
		return f.disk.syncErr
	}
	return f.File.Sync()
}

var errFull = errors.New("no space left on device")

// mustOpen opens a log at the path; change may alter how.
func mustOpen(t testing.TB, path string, change func(*audit.Config)) *audit.Log {
	t.Helper()
	c := audit.Config{Path: path, Node: "n1", Version: "test", Hasher: hasher{}, Flush: 5 * time.Millisecond, Timeout: 10 * time.Second}
	if change != nil {
		change(&c)
	}
	l, err := audit.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close(context.Background()) }) // again, where the test did
	return l
}

func mustClose(t testing.TB, l *audit.Log) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

func mustRequest(t testing.TB, l *audit.Log, id string) {
	t.Helper()
	if err := l.Request(context.Background(), request(id)); err != nil {
		t.Fatal(err)
	}
}

func request(id string) access.RequestRecord {
	return access.RequestRecord{
		ID: id, Stage: access.StageServed, Node: "n2", Address: "10.0.0.7", UserAgent: "brokerctl/1", Account: "ci", Token: "01TOKEN",
		Method: "POST", Path: "/api/v1/environments/payments/production/secrets/orders-ro/leases", Action: "lease:issue",
		On:      access.Resource{Kind: access.KindSecret, Environment: "payments/production", Secret: "orders-ro", Connection: "orders-db"},
		Allowed: true, Because: []access.Reason{{What: "role", Name: "developer", Binding: "01BINDING", Scope: "payments/*", Group: "devs"}},
	}
}

func outcome(id string) access.OutcomeRecord {
	return access.OutcomeRecord{ID: id, Stage: access.StageServed, Status: 201, Lease: "01LEASE", Took: 1500 * time.Microsecond}
}

// logs lists the files of a log.
func logs(t testing.TB, path string) []string {
	t.Helper()
	list, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// mustVerify verifies a log that has to be what was written.
func mustVerify(t testing.TB, path string, anchors ...chain.Anchor) chain.Report {
	t.Helper()
	reports, err := chain.Verify(logs(t, path), anchors)
	if err != nil {
		t.Fatal(err)
	}
	if len(reports) != 1 {
		t.Fatalf("%d chains: %+v", len(reports), reports)
	}
	if reports[0].Finding != nil {
		t.Fatalf("%s: %s", reports[0].Finding.Kind, reports[0].Finding)
	}
	return reports[0]
}

// records reads what the files say.
func records(t testing.TB, paths ...string) (list []map[string]any) {
	t.Helper()
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(data) {
			var r map[string]any
			if err := json.Unmarshal(line, &r); err != nil {
				t.Fatalf("%s: %v: %s", path, err, line)
			}
			list = append(list, r)
		}
	}
	return list
}

// kinds are the types of records, in order.
func kinds(list []map[string]any) (names []string) {
	for _, r := range list {
		names = append(names, r["type"].(string))
	}
	return names
}

// eventually waits for what another goroutine is about to do.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

func mustWrite(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
