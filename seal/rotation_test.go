package seal

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func mustLoad(t *testing.T, path string) *Keyring {
	t.Helper()
	k, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func mustFile(t *testing.T) (*Keyring, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keyring.json")
	if err := Create(path); err != nil {
		t.Fatal(err)
	}
	return mustLoad(t, path), path
}

// The steps of an exchange: after each, the key file of a node that dies right then opens all that was sealed before.
func TestExchange(t *testing.T) {
	k, path := mustFile(t)
	old := k.SealingKeys()[0]
	var sealed [][]byte
	step := func(what string, seals uint32, held ...uint32) {
		t.Helper()
		again := mustLoad(t, path)
		if got := again.SealingKeys(); !slices.Equal(got, held) || !slices.Equal(k.SealingKeys(), held) {
			t.Errorf("%s: the file has %x, the keyring %x, want %x", what, got, k.SealingKeys(), held)
		}
		value, err := again.Seal([]byte("v"), "r")
		if err != nil {
			t.Fatal(err)
		}
		if id, ok := KeyOf(value); !ok || id != seals {
			t.Errorf("%s: sealed with %x, want %x", what, id, seals)
		}
		sealed = append(sealed, value)
		for i, value := range sealed {
			if id, _ := KeyOf(value); !slices.Contains(held, id) {
				continue
			}
			if _, err := again.Open(value, "r"); err != nil {
				t.Errorf("%s: value %d: %v", what, i, err)
			}
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", what, info, err)
		}
	}
	step("at first", old, old)
	fresh, err := k.NewSealingKey()
	if err != nil {
		t.Fatal(err)
	}
	step("made", old, old, fresh)
	if err := k.Follow(fresh); err != nil {
		t.Fatal(err)
	}
	step("promoted", fresh, fresh, old)
	if err := k.Follow(fresh, old, fresh); err != nil { // what seals is not dropped
		t.Fatal(err)
	}
	step("retired", fresh, fresh)
	if _, err := k.Open(sealed[0], "r"); !errors.Is(err, ErrOpen) {
		t.Errorf("the dropped key opens: %v", err)
	}
	if err := k.Follow(old); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("following a key that is gone: %v", err)
	}
	hash, err := k.Hash("token", "x")
	if other, e := mustLoad(t, path).Hash("token", "x"); err != nil || e != nil || !bytes.Equal(hash, other) {
		t.Error("the hashing key was exchanged too")
	}
}

// A node learns what it lacks from another one's file, of its own cluster only, and any order of steps will do.
func TestLearn(t *testing.T) {
	leader, path := mustFile(t)
	copied := filepath.Join(t.TempDir(), "keyring.json")
	if err := Install(copied, leader.File()); err != nil {
		t.Fatal(err)
	}
	node := mustLoad(t, copied)
	before := leader.SealingKeys()[0]
	fresh, err := leader.NewSealingKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := leader.Follow(fresh, before); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing new
		if err := node.Learn(leader.File()); err != nil {
			t.Fatal(err)
		}
		if got := mustLoad(t, copied).SealingKeys(); !slices.Equal(got, []uint32{before, fresh}) {
			t.Errorf("it has %x, want its own and the new one", got)
		}
	}
	foreign, _ := mustFile(t)
	if err := node.Learn(foreign.File()); err == nil {
		t.Error("keys of another cluster were taken in")
	}
	// A join that was tried before the exchange is tried again after it.
	if err := Install(copied, leader.File()); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(mustRead(t, copied), mustRead(t, path)) {
		t.Error("the newer file was not installed")
	}
	if err := Install(copied, foreign.File()); err == nil || !strings.Contains(err.Error(), "move it away") {
		t.Errorf("another cluster's: %v", err)
	}
}

// A try that was cut short leaves the old file, and the next one goes; a file that somebody else changed is not
// overwritten; one that cannot be written changes nothing.
func TestReplacingIsSafe(t *testing.T) {
	k, path := mustFile(t)
	before := mustRead(t, path)
	if err := os.WriteFile(path+".new", before[:10], 0o600); err != nil {
		t.Fatal(err)
	}
	if got := mustLoad(t, path).SealingKeys(); len(got) != 1 {
		t.Errorf("after a crash it has %x", got)
	}
	if _, err := k.NewSealingKey(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	var order []string
	err := replace(path, mustRead(t, path), func(dir string) error { order = append(order, dir); return errors.New("the disk is gone") })
	if err == nil || len(order) != 1 {
		t.Errorf("a flush that failed was not told: %v", err)
	}

	other := mustLoad(t, path)
	if _, err := other.NewSealingKey(); err != nil {
		t.Fatal(err)
	}
	now := mustRead(t, path)
	if _, err := k.NewSealingKey(); err == nil || !strings.Contains(err.Error(), "changed by something else") {
		t.Errorf("another one's change was overwritten: %v", err)
	}
	if !bytes.Equal(now, mustRead(t, path)) || len(k.SealingKeys()) != 2 {
		t.Error("a change that failed was made in part")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := other.Follow(other.SealingKeys()[1]); err == nil {
		t.Error("a file that is gone was made anew")
	}
}

// What only this process uses changes no file, and the next change does.
func TestUse(t *testing.T) {
	k, path := mustFile(t)
	fresh, err := k.NewSealingKey()
	if err != nil {
		t.Fatal(err)
	}
	before := mustRead(t, path)
	if err := k.Use(fresh); err != nil || k.SealingKeys()[0] != fresh || !bytes.Equal(before, mustRead(t, path)) {
		t.Errorf("%v, seals with %x", err, k.SealingKeys()[0])
	}
	if err := k.Follow(fresh); err != nil || mustLoad(t, path).SealingKeys()[0] != fresh {
		t.Errorf("%v: the file was not changed", err)
	}
}

// The shares of the first keyring open each later one, with what they need to know of it alone.
func TestSharesOutliveExchanges(t *testing.T) {
	k, _ := mustFile(t)
	first, shares := mustRecovery(t, k, "c1", 3, 2)
	old := k.SealingKeys()[0]
	fresh, err := k.NewSealingKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Follow(fresh); err != nil {
		t.Fatal(err)
	}
	both, err := first.Wrap("c1", k.File())
	if err != nil {
		t.Fatal(err)
	}
	file, err := k.Without(old)
	if err != nil {
		t.Fatal(err)
	}
	last, err := first.Wrap("c1", file)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		r    Recovery
		want []uint32
	}{"before": {first, []uint32{old}}, "while": {both, []uint32{fresh, old}}, "after": {last, []uint32{fresh}}} {
		file, err := c.r.Open("c1", shares[1:])
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		ring, err := file.Keyring()
		if err != nil || !slices.Equal(ring.SealingKeys(), c.want) {
			t.Errorf("%s: %x, want %x, %v", name, ring.SealingKeys(), c.want, err)
		}
		if _, err := c.r.Open("c2", shares[1:]); !errors.Is(err, ErrShare) {
			t.Errorf("%s, as another cluster: %v", name, err)
		}
	}
	if text := fmt.Sprintf("%v %+v %v %+v", k, k, file, last.Wrapped); strings.Contains(text, "keyData") {
		t.Errorf("a key is shown: %s", text)
	}
	_, other, err := k.NewRecovery("c1", 3, 2, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for i := range other { // of another key pair, with the name of this splitting
		other[i].split = first.Split
	}
	if _, err := last.Open("c1", other[:2]); !errors.Is(err, ErrRecovery) {
		t.Errorf("another key pair's shares: %v", err)
	}
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
