package agent

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"broker/api/types"
)

// TestInUse: as long as a file could not be written the lease whose values it has lives, over a restart too, and it is
// revoked once the file has others.
func TestInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		k.ledger.Max = time.Hour
		k.start(oneFile, nil).stopAfter(2 * time.Second)
		block := k.path(".file.broker-agent")
		if err := os.MkdirAll(block+"/full", 0o700); err != nil {
			t.Fatal(err)
		}
		other := strings.Replace(oneFile, "key: USER", "key: USER, mode: 0640", 1)
		k.start(other, nil).stopAfter(5*time.Minute, "file")
		r := k.start(other, nil)
		k.pass(5*time.Minute, "file")
		if got := k.read("file"); got != "uL1" {
			t.Fatalf("it has %s\n%s", got, k.said())
		}
		if err := os.RemoveAll(block); err != nil {
			t.Fatal(err)
		}
		k.pass(2*time.Minute, "file")
		if live := k.ledger.Live(); len(live) != 1 || k.read("file") != "u"+live[0] || live[0] == "L1" {
			t.Errorf("alive are %v, it has %s\n%s", live, k.read("file"), k.said())
		}
		r.stop()
	})
}

// TestRefusedAnother: a lease that is asked for in another way takes the place of the one before when there is one, and
// the one before is kept until then.
func TestRefusedAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		k.ledger.Max = time.Hour
		k.start(oneFile, nil).stopAfter(2 * time.Second)
		k.ledger.Set(func() { k.ledger.Refuse = "quota_exceeded" })
		other := strings.Replace(oneFile, "ttl: 90s", "ttl: 80s", 1)
		k.start(other, nil).stopAfter(5*time.Minute, "file")
		r := k.start(other, nil)
		k.pass(5*time.Minute, "file")
		if live := k.ledger.Live(); !slices.Equal(live, []string{"L1"}) || k.read("file") != "uL1" {
			t.Fatalf("alive are %v, it has %s\n%s", live, k.read("file"), k.said())
		}
		k.ledger.Set(func() { k.ledger.Refuse = "" })
		k.pass(2*time.Minute, "file")
		if live := k.ledger.Live(); !slices.Equal(live, []string{"L2"}) || k.read("file") != "uL2" {
			t.Errorf("alive are %v, it has %s\n%s", live, k.read("file"), k.said())
		}
		r.stop()
		k.start(other, nil).stopAfter(time.Minute, "file")
		if len(k.ledger.Leases) != 2 {
			t.Errorf("there were %d leases\n%s", len(k.ledger.Leases), k.said())
		}
	})
}

// TestLostWhileDown: a lease that ended while no agent was there is lost to the next one, with or without a broker.
func TestLostWhileDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		removed := strings.Replace(oneFile, "ttl: 90s", "ttl: 90s\n    on_lost: remove", 1)
		k.start(removed, nil).stopAfter(2 * time.Second)
		k.pass(5 * time.Minute)
		k.ledger.Set(func() { k.ledger.Away = true })
		r := k.start(removed, nil)
		k.pass(time.Minute)
		if got := k.read("file"); got != "" || !r.sources["db"].now().lost {
			t.Errorf("it has %s\n%s", got, k.said())
		}
		k.ledger.Set(func() { k.ledger.Away = false })
		k.pass(time.Minute)
		if got := k.read("file"); got != "uL2" {
			t.Errorf("it has %s\n%s", got, k.said())
		}
		r.stop()
	})
}

const twoSecrets = `
secrets:
  - {secret: app/env/one, as: one, ttl: 90s, on_lost: remove}
  - {secret: app/env/two, as: two, ttl: 90s, overlap: 2m, files: [{path: DIR/two, format: value, key: USER}]}
files:
  - {path: DIR/both, secrets: [one, two], template: "{{ .one.USER }}{{ .two.USER }}"}
  - {path: DIR/both2, secrets: [two, one], template: "{{ .one.USER }}{{ .two.USER }}"}
`

// TestGone: a secret that is not in the configuration any more has its lease revoked when its own overlap is over, however
// often the agent ends meanwhile, and whether or not the broker is there.
func TestGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		k.ledger.Max = time.Hour
		k.start(strings.ReplaceAll(twoSecrets, "ttl: 90s", "ttl: 20m"), nil).stopAfter(2 * time.Second)
		for range 3 {
			k.start(oneFile, nil).stopAfter(20 * time.Second)
		}
		alive := func(secret string) bool {
			return slices.ContainsFunc(k.ledger.Leases, func(one *types.Lease) bool { return one.Secret == secret && one.State == "active" })
		}
		if !alive("app/env/two") {
			t.Fatalf("it was revoked before its overlap was over\n%s", k.said())
		}
		k.ledger.Set(func() { k.ledger.Away = true })
		k.start(oneFile, nil).stopAfter(3 * time.Minute)
		k.ledger.Set(func() { k.ledger.Away = false })
		k.start(oneFile, nil).stopAfter(2 * time.Minute)
		if alive("app/env/one") || alive("app/env/two") || !alive("app/env/db") {
			t.Errorf("alive are %v\n%s", k.ledger.Live(), k.said())
		}
	})
}

// TestOnLostOfSeveral: of a file of several secrets the one whose lease is over decides.
func TestOnLostOfSeveral(t *testing.T) {
	for secret, left := range map[string]bool{"app/env/one": false, "app/env/two": true} {
		synctest.Test(t, func(t *testing.T) {
			k := newKit(t)
			r := k.start(twoSecrets, nil)
			k.pass(2 * time.Second)
			k.ledger.Set(func() {
				k.ledger.Refuse = "locked"
				for _, one := range k.ledger.Leases {
					if one.Secret == secret {
						one.State = "revoked"
					}
				}
			})
			k.pass(2 * time.Minute)
			if one, two := k.read("both") != "", k.read("both2") != ""; one != left || two != left || k.read("two") == "" {
				t.Errorf("after %s was lost the files are there: %v %v\n%s", secret, one, two, k.said())
			}
			r.stop()
		})
	}
}

// TestOutputHidden: what a reload says is told without values, and not at all when the values are not known.
func TestOutputHidden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		failing := strings.Replace(oneFile, `shell: "`, `shell: "base64 <DIR/file; cat DIR/file; exit 3; `, 1)
		k.start(failing, nil).stopAfter(10 * time.Second)
		if said := k.said(); !strings.Contains(said, "[redacted]") {
			t.Errorf("it said\n%s", said)
		}
		k.start(failing, nil).stopAfter(10 * time.Second)
		said := k.said()
		if !strings.Contains(said, "is left out") || strings.Contains(said, "uL1") || strings.Contains(said, "dUwx") || len(k.ledger.Leases) != 1 {
			t.Errorf("it said\n%s", said)
		}
	})
}

// taken is a store that another agent takes.
type taken struct {
	store
	gone chan struct{}
}

func (s *taken) lost() <-chan struct{} { return s.gone }

// TestTaken: what is just being done ends when another agent works.
func TestTaken(t *testing.T) {
	k := newKit(t)
	keep := &taken{&directory{path: k.path("state")}, make(chan struct{})}
	r := k.start(strings.Replace(oneFile, `shell: "`, `shell: "touch DIR/begun; sleep 300; `, 1), keep)
	for giveUp := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(k.path("begun")); err == nil {
			break
		}
		if time.Now().After(giveUp) {
			t.Fatal(k.said())
		}
	}
	close(keep.gone)
	select {
	case err := <-r.ended:
		if !errors.Is(err, errTaken) {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(25 * time.Second):
		t.Error("it goes on")
	}
	r.keep.give()
}

// TestUnreadable: a state that cannot be read keeps nobody out once it is mended.
func TestUnreadable(t *testing.T) {
	one := &directory{path: t.TempDir()}
	if err := os.WriteFile(one.file(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := one.take(t.Context(), func(state) {}); err == nil || !strings.Contains(err.Error(), "without the file new leases") {
		t.Fatalf("got %v", err)
	}
	if err := os.Remove(one.file()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	two := &directory{path: one.path}
	if _, err := two.take(ctx, func(state) {}); err != nil {
		t.Error(err)
	}
	two.give()
}
