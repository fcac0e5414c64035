package audit_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"broker/access/audit"
)

func TestRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := mustOpen(t, path, func(c *audit.Config) { c.MaxSize, c.Keep = 2000, 3 })
	for i := range 40 {
		mustRequest(t, l, fmt.Sprint(i))
	}
	mustClose(t, l)
	files := logs(t, path)
	if len(files) != 4 {
		t.Fatalf("files %v", files)
	}
	report := mustVerify(t, path)
	if report.First == 1 || report.Complete || report.Last != report.First+report.Records-1 {
		t.Errorf("%+v", report)
	}
	var removed int
	for _, file := range files {
		first := records(t, file)[0]
		if first["type"] != "rotate" {
			t.Errorf("%s begins with %v", file, first)
		}
		if first["last_head"] != first["prev"] || first["last_seq"] != first["seq"].(float64)-1 {
			t.Errorf("%s names %v", file, first)
		}
		if list, ok := first["removed"].([]any); ok {
			removed += len(list)
		}
		if info, err := os.Stat(file); err != nil || info.Size() > 4000 || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
	if removed == 0 {
		t.Error("no record tells which files were removed")
	}
}

func TestRotationByAge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	var mu sync.Mutex
	now := time.Now()
	pass := func(d time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(d)
	}
	l := mustOpen(t, path, func(c *audit.Config) {
		c.MaxAge = time.Hour
		c.Now = func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return now
		}
	})
	mustRequest(t, l, "1")
	pass(59 * time.Minute)
	mustRequest(t, l, "2")
	if files := logs(t, path); len(files) != 1 {
		t.Errorf("too early: %v", files)
	}
	pass(time.Minute)
	eventually(t, "a rotation without a request", func() bool { return len(logs(t, path)) == 2 })
	pass(5 * time.Hour)
	mustRequest(t, l, "3")
	mustClose(t, l)
	if files := logs(t, path); len(files) != 2 {
		t.Errorf("a file without requests was put aside: %v", files)
	}
	mustVerify(t, path)
}

// Whoever moves the file away and says so, or does not, finds a chain that goes on.
func TestMovedAway(t *testing.T) {
	for name, said := range map[string]bool{"with SIGHUP": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.log")
			l := mustOpen(t, path, func(c *audit.Config) {
				if said {
					c.Flush = time.Hour // nobody looks
				}
			})
			mustRequest(t, l, "1")
			if err := os.Rename(path, path+".moved"); err != nil {
				t.Fatal(err)
			}
			if said {
				l.Reopen()
			}
			eventually(t, "the new file", func() bool { _, err := os.Stat(path); return err == nil })
			mustRequest(t, l, "2")
			mustClose(t, l)
			if report := mustVerify(t, path); report.Records != 5 || len(report.Files) != 2 {
				t.Errorf("%+v", report)
			}
			if first := records(t, path)[0]; first["type"] != "rotate" {
				t.Errorf("the new file begins with %v", first)
			}
		})
	}
}

// The newest file is gone at a start: the chain goes on from the one before.
func TestGoesOnFromWhatWasPutAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := mustOpen(t, path, nil)
	mustRequest(t, l, "1")
	mustClose(t, l)
	if err := os.Rename(path, path+".000000000003"); err != nil {
		t.Fatal(err)
	}
	l = mustOpen(t, path, nil)
	mustClose(t, l)
	if report := mustVerify(t, path); report.Records != 6 {
		t.Errorf("%+v", report)
	}
}

// A file that somebody else cuts or writes to is noticed, and what is missing shows.
func TestChangedBySomebodyElse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := mustOpen(t, path, func(c *audit.Config) { c.Flush = time.Hour })
	mustRequest(t, l, "1")
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	mustRequest(t, l, "2")
	mustAppend(t, path, "graffiti\n")
	mustRequest(t, l, "3")
	mustClose(t, l)
	if first := records(t, path)[0]; first["type"] != "rotate" || first["seq"] != 3.0 {
		t.Errorf("after the cut: %v", first)
	}
	report := mustVerify(t, path)
	if report.Complete || report.First != 3 || len(report.Gaps) != 1 {
		t.Errorf("%+v", report)
	}
}
