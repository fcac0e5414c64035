package broker_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"broker/broker"
	"broker/fsm"
	"broker/seal"
)

// keyFiles is the keyring of a house whose sealing key is exchanged.
type keyFiles struct {
	*seal.Keyring
	path string

	mu      sync.Mutex
	members []string
}

func (k *keyFiles) Keys() []uint32                               { return k.SealingKeys() }
func (k *keyFiles) New() (uint32, error)                         { return k.NewSealingKey() }
func (k *keyFiles) Follow(p uint32, drop []uint32) error         { return k.Keyring.Follow(p, drop...) }
func (k *keyFiles) Wrap(fsm.Recovery, ...uint32) ([]byte, error) { return []byte("wrapped"), nil }
func (k *keyFiles) Use(p uint32) error                           { return k.Keyring.Use(p) }
func (k *keyFiles) Members() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.members)
}

func (k *keyFiles) join(members ...string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.members = members
}

// inSealedHouse runs a test in a house whose sealing key may be exchanged.
func inSealedHouse(t *testing.T, test func(t *testing.T, h *house, k *keyFiles)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, dir, broker.Timing{Sweep: 1000 * time.Hour})
		defer h.close()
		k := &keyFiles{Keyring: h.b.Keyring.(*seal.Keyring), path: filepath.Join(dir, "keyring.json"), members: []string{"n1"}}
		h.b.Sealing = k
		h.lead(1)
		h.furnish()
		test(t, h, k)
	})
}

func (h *house) sealingKeys() (list []fsm.SealingKey) {
	h.view(func(v *fsm.View) { list = v.SealingKeys() })
	return list
}

// states tells how far the sealing keys are.
func (h *house) sealingStates() (list []fsm.SealingState) {
	for _, k := range h.sealingKeys() {
		list = append(list, k.State)
	}
	return list
}

func (h *house) mustRotate() fsm.SealingKey {
	h.t.Helper()
	k, err := h.b.RotateSealingKey(h.t.Context(), alice())
	if err != nil {
		h.t.Fatal(err)
	}
	return k
}

// rotated waits until an exchange is over and looks at what it must have left: everything is sealed with one key,
// which is the only one in the key file, and everything opens.
func (h *house) rotated(k *keyFiles) {
	h.t.Helper()
	h.eventually("the exchange is over", func() bool {
		states := h.sealingStates()
		return !slices.Contains(states, fsm.SealingNext) && !slices.Contains(states, fsm.SealingOld)
	})
	h.eventually("the keyring has one key", func() bool { return len(k.Keys()) == 1 })
	file, err := seal.Load(k.path)
	if err != nil {
		h.t.Fatal(err)
	}
	if d := file.SealingKeys(); len(d) != 1 || d[0] != k.Keys()[0] {
		h.t.Errorf("the key file has keys %x, the keyring %x", d, k.Keys())
	}
	var all []fsm.SealedValue
	h.view(func(v *fsm.View) {
		if by := v.SealedBy(); len(by) != 1 || by[file.SealingKeys()[0]] == 0 {
			h.t.Errorf("values by key: %v", by)
		}
		all = v.SealedOtherwise(0, 10_000)
	})
	for _, s := range all {
		if _, err := file.Open(s.Sealed, s.Bound); err != nil {
			h.t.Errorf("%s: %v", s.Kind, err)
		}
	}
}

// An exchange exchanges everything, and nobody notices: values that were kept for a repeated request are given again.
func TestRotation(t *testing.T) {
	inSealedHouse(t, func(t *testing.T, h *house, k *keyFiles) {
		before := k.Keys()[0]
		first, err := h.issue(keyed("k1"), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		h.mustConnection("other", "main")
		old, err := os.ReadFile(k.path)
		if err != nil {
			t.Fatal(err)
		}
		made := h.mustRotate()
		if _, err := h.b.RotateSealingKey(t.Context(), alice()); refusal(err) != fsm.CodeRotationRunning {
			t.Errorf("a second one at once: %v", err)
		}
		h.rotated(k)
		if made.State != fsm.SealingNext || k.Holds(before) || k.Keys()[0] != made.ID {
			t.Errorf("made %+v, the keyring has %x", made, k.Keys())
		}
		again, err := h.issue(keyed("k1"), time.Hour)
		if err != nil || !again.Replayed || reveal(again.Values)["DB_PASSWORD"] != reveal(first.Values)["DB_PASSWORD"] {
			t.Errorf("a repeated request: %+v, %v", again.Lease, err)
		}
		h.depose()
		h.lead(2)
		h.mustIssue(time.Hour)
		if _, err := h.b.Revoke(t.Context(), alice(), broker.RevokeSpec{Lease: first.Lease.ID}); err != nil {
			t.Error(err)
		}
		h.mustRotate()
		h.rotated(k)
		// The key itself is nowhere but in the key file.
		for _, entry := range h.log.entries {
			if bytes.Contains(entry, []byte("keyData")) || bytes.Contains(entry, old[50:90]) {
				t.Error("an entry of the log holds a key")
			}
		}
	})
}

// Whatever becomes of a step, the same leader or the next one goes on.
func TestRotationGoesOn(t *testing.T) {
	steps := map[string]fsm.CommandType{
		"create": fsm.TypeCreateSealingKey, "record": fsm.TypeRecordSealingKey, "promote": fsm.TypePromoteSealingKey,
		"reseal": fsm.TypeResealValues, "retire": fsm.TypeRetireSealingKey,
	}
	outcomes := map[string]outcome{"not committed": notCommitted, "lost": lostUnknown, "committed, nobody knows": committedUnknown}
	for step, command := range steps {
		for what, becomes := range outcomes {
			for _, deposed := range []bool{false, true} {
				name := step + " " + what
				if deposed {
					name += ", another leader"
				}
				t.Run(name, func(t *testing.T) {
					inSealedHouse(t, func(t *testing.T, h *house, k *keyFiles) {
						h.mustIssue(time.Hour)
						happened := make(chan struct{}, 1)
						h.log.next(command, becomes)
						h.log.before = func(c fsm.Command) {
							if c.Type == command {
								select {
								case happened <- struct{}{}:
								default:
								}
							}
						}
						_, err := h.b.RotateSealingKey(t.Context(), alice())
						if command == fsm.TypeCreateSealingKey && err == nil {
							t.Fatal("the step did not fail")
						}
						if deposed {
							if becomes == committedUnknown {
								<-happened // the leader dies right after the step
							}
							h.depose()
							h.lead(2)
						}
						if len(h.sealingKeys()) == 1 {
							h.mustRotate()
						}
						h.rotated(k)
						h.mustIssue(time.Hour)
					})
				})
			}
		}
	}
}

// A key that only a leader had that is gone for good is given up: nothing was sealed with it.
func TestRotationWithoutTheNewKey(t *testing.T) {
	inSealedHouse(t, func(t *testing.T, h *house, k *keyFiles) {
		k.join("n1", "n2")
		lost := h.mustRotate()
		h.eventually("it holds the key", func() bool { return slices.Contains(h.sealingKeys()[1].Holders, "n1") })
		h.depose()
		if err := k.Keyring.Follow(k.Keys()[0], lost.ID); err != nil { // a node that has not got it leads now
			t.Fatal(err)
		}
		h.lead(2)
		h.eventually("another key is made", func() bool { return len(h.sealingKeys()) == 3 })
		if now := h.sealingKeys(); now[1].State != fsm.SealingRetired || !now[1].PromotedAt.IsZero() || now[2].State != fsm.SealingNext {
			t.Fatalf("keys: %+v", now)
		}
		k.join("n1")
		h.rotated(k)
	})
}

// Nothing is sealed with a key that a member does not have, and who is missing is told.
func TestRotationWaitsForEveryMember(t *testing.T) {
	inSealedHouse(t, func(t *testing.T, h *house, k *keyFiles) {
		k.join("n1", "n2", "n3")
		before := k.Keys()[0]
		made := h.mustRotate()
		record := func(node string) {
			if err := h.b.RecordSealingKey(t.Context(), alice(), fsm.RecordSealingKey{Node: node, Number: made.Number}); err != nil {
				t.Fatal(err)
			}
		}
		record("n3")
		pass(time.Hour)
		now := h.sealingKeys()[1]
		if missing := broker.Missing(now, k.Members()); now.State != fsm.SealingNext || !slices.Equal(missing, []string{"n2"}) {
			t.Fatalf("%+v, missing %v", now, missing)
		}
		h.mustConnection("meanwhile", "main")
		h.view(func(v *fsm.View) {
			if by := v.SealedBy(); len(by) != 1 || by[before] == 0 {
				t.Errorf("values by key: %v", by)
			}
		})
		record("n2")
		h.rotated(k)
		if _, err := h.b.CheckConnection(t.Context(), alice(), "meanwhile"); err != nil {
			t.Error(err)
		}
	})
}

// A change that comes while a value is sealed anew is not undone.
func TestRotationUndoesNoChange(t *testing.T) {
	inSealedHouse(t, func(t *testing.T, h *house, k *keyFiles) {
		var once sync.Once
		h.log.hold = func(c fsm.Command) {
			if c.Type == fsm.TypeResealValues {
				once.Do(func() {
					h.fake.SetRootPassword("another root password")
					if _, _, err := h.b.UpdateConnection(context.Background(), alice(), broker.ConnectionChange{
						Name: "orders-db", Settings: map[string]any{"password": "another root password"},
					}); err != nil {
						t.Error(err)
					}
				})
			}
		}
		h.mustRotate()
		h.rotated(k)
		h.mustIssue(time.Hour)
		if _, err := h.b.CheckConnection(t.Context(), alice(), "orders-db"); err != nil {
			t.Errorf("the changed root credential was undone: %v", err)
		}
	})
}

// What was sealed before a whole exchange and comes into the log after it is refused, and goes when it is tried again.
func TestRotationWhileAChangeIsOnItsWay(t *testing.T) {
	inSealedHouse(t, func(t *testing.T, h *house, k *keyFiles) {
		var once sync.Once
		h.log.hold = func(c fsm.Command) {
			if c.Type == fsm.TypeCreateConnection {
				once.Do(func() {
					h.mustRotate()
					h.rotated(k)
				})
			}
		}
		create := func() error {
			_, _, err := h.b.CreateConnection(t.Context(), alice(), broker.ConnectionSpec{
				Name: "slow", Provider: "fake", Settings: map[string]any{"system": "main", "password": rootCanary},
			})
			return err
		}
		wantCode(t, "what comes too late", create(), fsm.CodeSealingKeyRetired)
		if err := create(); err != nil {
			t.Fatal(err)
		}
		h.rotated(k)
		if _, err := h.b.CheckConnection(t.Context(), alice(), "slow"); err != nil {
			t.Error(err)
		}
	})
}

// A restored cluster exchanges nothing: neither what was asked for before nor what is asked for now.
func TestRestoredDoesNotRotate(t *testing.T) {
	inSealedHouse(t, func(t *testing.T, h *house, k *keyFiles) {
		k.join("n1", "n2")
		h.mustRotate()
		h.restore(false)
		k.join("n1")
		if _, err := h.b.RotateSealingKey(t.Context(), alice()); refusal(err) != fsm.CodeClusterRestored {
			t.Errorf("%v", err)
		}
		pass(time.Hour)
		if states := h.sealingStates(); !slices.Equal(states, []fsm.SealingState{fsm.SealingPrimary, fsm.SealingNext}) {
			t.Errorf("%v", states)
		}
		if _, err := h.b.SnapshotDiff(t.Context(), alice()); err != nil {
			t.Fatal(err)
		}
		if _, err := h.b.ReleaseSnapshot(t.Context(), alice(), broker.ReleaseSpec{Unknown: fsm.UnknownReport, Reason: "r"}); err != nil {
			t.Fatal(err)
		}
		h.rotated(k)
	})
}
