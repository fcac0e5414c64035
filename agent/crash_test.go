package agent

import (
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const oneFile = `
secrets:
  - secret: app/env/db
    as: db
    ttl: 90s
    files: [{path: DIR/file, format: value, key: USER}]
    reload: {shell: "cat DIR/file >>DIR/told; echo >>DIR/told"}
`

// has reports whether a state knows this lease, or is about to have its values written.
func has(s state, lease string) (known, target bool) {
	for _, one := range s.Secrets {
		for _, kept := range one.Leases {
			known = known || kept.Lease.ID == lease
		}
	}
	for _, one := range s.Targets {
		target = target || slices.Contains(one.Leases, lease)
	}
	return known, target
}

// TestCrash has an agent die at each of the points of DESIGN's table. The file's lease is alive at all times, who reads it
// is told of what is in it, and once all is over there is one lease.
func TestCrash(t *testing.T) {
	for _, point := range []struct {
		name   string
		dies   func(state) bool
		late   bool
		leases int    // in all, at the end
		file   string // when it is dead
	}{
		{"a first lease is answered, not saved", func(s state) bool { known, _ := has(s, "L1"); return known }, false, 2, ""},
		{"it is saved, not written", func(s state) bool { known, _ := has(s, "L1"); return known }, true, 2, ""},
		{"another lease is answered, not saved", func(s state) bool { known, _ := has(s, "L2"); return known }, false, 3, "uL1"},
		{"it is about to be written", func(s state) bool { _, target := has(s, "L2"); return target }, true, 3, "uL1"},
		{"it is written, nobody told", func(s state) bool {
			_, target := has(s, "L2")
			return target && len(s.Targets) == 1 && one(s).Before == nil
		}, false, 2, "uL2"},
		{"it is told, which is not saved", func(s state) bool { _, target := has(s, "L2"); return target && !one(s).Untold }, false, 2, "uL2"},
	} {
		t.Run(point.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKit(t)
				r := k.start(oneFile, &mortal{store: &directory{path: k.path("state")}, dies: point.dies, late: point.late})
				for len(r.ended) == 0 {
					k.pass(time.Second, "file")
					if time.Since(r.born) > 10*time.Minute {
						t.Fatalf("it lives\n%s", k.said())
					}
				}
				r.stop()
				if got := k.read("file"); got != point.file {
					t.Errorf("dead, it left %q\n%s", got, k.said())
				}
				if err := os.WriteFile(k.path(".file.broker-agent"), []byte("half"), 0o600); err != nil {
					t.Fatal(err)
				}
				k.pass(20 * time.Second)
				r = k.start(oneFile, nil)
				k.pass(3*time.Minute, "file")
				told := strings.Fields(k.read("told"))
				if got := k.read("file"); len(told) == 0 || told[len(told)-1] != got || got == "" {
					t.Errorf("%q is written, told was %v\n%s", got, told, k.said())
				}
				if live := k.ledger.Live(); len(live) != 1 || "u"+live[0] != k.read("file") || len(k.ledger.Leases) != point.leases {
					t.Errorf("%d leases, alive are %v\n%s", len(k.ledger.Leases), live, k.said())
				}
				if _, err := os.Stat(k.path(".file.broker-agent")); err == nil {
					t.Error("what was half written is still there")
				}
				r.stop()
			})
		})
	}
}

// one returns the only target.
func one(s state) (only savedTarget) {
	for _, only = range s.Targets {
	}
	return only
}

const oneObject = `
secrets:
  - secret: app/env/db
    as: db
    ttl: 90s
    kubernetes: {name: db, keys: {user: USER}}
    reload: {shell: "echo told >>DIR/told"}
`

// TestCrashKubernetes: a Secret whose writing came to nothing, or whose answer did, has what it should, and its readers
// are told.
func TestCrashKubernetes(t *testing.T) {
	for _, arrives := range []bool{true, false} {
		for _, dies := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				k, o := newKit(t), &cluster{}
				k.api = o.kubernetes(t, "one")
				lost := 0
				lose := func(r *http.Request) error {
					if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/secrets") && lost == 0 {
						lost++
						return io.ErrUnexpectedEOF
					}
					return nil
				}
				if arrives {
					o.meet(nil, lose)
				} else {
					o.meet(lose, nil)
				}
				r := k.start(oneObject, nil)
				k.pass(2 * time.Second)
				if dies {
					r.stop()
					r = k.start(oneObject, nil)
				}
				k.pass(2 * time.Minute)
				found, err := k.api.readSecret(t.Context(), &Object{ObjectName: ObjectName{Name: "db"}})
				live := k.ledger.Live()
				if err != nil || found == nil || len(live) != 1 || string(found.Data["user"]) != "u"+live[0] || lost != 1 || k.read("told") == "" {
					t.Errorf("arrives %v, dies %v: %v %v, alive are %v, told %q\n%s", arrives, dies, found, err, live, k.read("told"), k.said())
				}
				r.stop()
			})
		}
	}
}

// TestToldLater: who could not be told because nobody knew whether all was well is told later.
func TestToldLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, o := newKit(t), &cluster{}
		k.api = o.kubernetes(t, "one")
		written := false
		o.meet(func(*http.Request) error {
			if written {
				return io.ErrUnexpectedEOF
			}
			return nil
		}, func(r *http.Request) error {
			written = written || r.Method == http.MethodPost
			return nil
		})
		r := k.start(oneObject, nil)
		k.pass(10 * time.Second)
		if !written || k.read("told") != "" {
			t.Fatalf("written: %v, told %q", written, k.read("told"))
		}
		o.meet(nil, nil)
		k.pass(20 * time.Second)
		if got := k.read("told"); got != "told" {
			t.Errorf("told %q\n%s", got, k.said())
		}
		r.stop()
	})
}
