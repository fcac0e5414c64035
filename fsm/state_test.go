package fsm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"
	"pgregory.net/rapid"
)

const prepare = `"Secret":"payments/production/orders-ro","SecretVersion":4,"System":3,"Account":"alice","CreateTTL":"~10s"`

func mustPlay(t *testing.T, lines ...string) *player {
	t.Helper()
	p := newPlayer(t)
	p.play("< base.txt\n"+strings.Join(lines, "\n"), false)
	return p
}

func TestLeasesPagesAndSelectors(t *testing.T) {
	p := mustPlay(t)
	for i := range 7 {
		p.play(fmt.Sprintf(`> %ds prepare_lease {"ID":"L%d",%s,"Username":"u%d","Name":"a","TTL":"~%ds","Labels":{"n":"%d"}}`, 10+i, i, prepare, i, 100-i, i%2), false)
	}
	p.play(`> 20s activate_lease {"ID":"L3"}`+"\n"+`> 20s begin_revoke {"ID":"L5","Cause":"revoke"}`, false)
	ids := func(sel LeaseSelector, page LeasePage) []LeaseID {
		var list []LeaseID
		mustView(t, p.state, func(v *View) {
			for _, l := range v.Leases(sel, page) {
				list = append(list, l.ID)
			}
		})
		return list
	}
	for name, c := range map[string]struct {
		sel  LeaseSelector
		page LeasePage
		want []LeaseID
	}{
		"newest first":         {LeaseSelector{}, LeasePage{Limit: 3}, []LeaseID{"L6", "L5", "L4"}},
		"the next page":        {LeaseSelector{}, LeasePage{After: "L4", Limit: 3}, []LeaseID{"L3", "L2", "L1"}},
		"the last page":        {LeaseSelector{}, LeasePage{After: "L1", Limit: 3}, []LeaseID{"L0"}},
		"oldest first":         {LeaseSelector{}, LeasePage{Limit: 2, Order: OldestFirst}, []LeaseID{"L0", "L1"}},
		"oldest, next":         {LeaseSelector{}, LeasePage{After: "L1", Limit: 2, Order: OldestFirst}, []LeaseID{"L2", "L3"}},
		"nothing wanted":       {LeaseSelector{}, LeasePage{}, nil},
		"by state":             {LeaseSelector{States: []string{"active"}}, LeasePage{Limit: 9}, []LeaseID{"L3"}},
		"by two states":        {LeaseSelector{States: []string{"active", "revoking"}}, LeasePage{Limit: 9}, []LeaseID{"L5", "L3"}},
		"overdue":              {LeaseSelector{States: []string{"overdue"}, Now: epoch.Add(time.Hour)}, LeasePage{Limit: 9}, []LeaseID{"L3"}},
		"by label":             {LeaseSelector{Labels: map[string]string{"n": "1"}}, LeasePage{Limit: 2}, []LeaseID{"L5", "L3"}},
		"by label, next":       {LeaseSelector{Labels: map[string]string{"n": "1"}}, LeasePage{After: "L3", Limit: 2}, []LeaseID{"L1"}},
		"by label and state":   {LeaseSelector{Labels: map[string]string{"n": "1"}, States: []string{"revoking"}}, LeasePage{Limit: 9}, []LeaseID{"L5"}},
		"by username":          {LeaseSelector{Username: "u4"}, LeasePage{Limit: 9}, []LeaseID{"L4"}},
		"a prefix is no match": {LeaseSelector{Username: "u"}, LeasePage{Limit: 9}, nil},
		"by pattern":           {LeaseSelector{Environments: []Pattern{"payments/*"}}, LeasePage{Limit: 1}, []LeaseID{"L6"}},
		"by environment":       {LeaseSelector{Environments: []Pattern{"payments/production"}}, LeasePage{Limit: 1}, []LeaseID{"L6"}},
		"another environment":  {LeaseSelector{Environments: []Pattern{"billing/*"}}, LeasePage{Limit: 1}, nil},
		"issued before":        {LeaseSelector{IssuedBefore: epoch.Add(12 * time.Second)}, LeasePage{Limit: 9}, []LeaseID{"L1", "L0"}},
		"expires after":        {LeaseSelector{ExpiresAfter: epoch.Add(109 * time.Second)}, LeasePage{Limit: 9}, []LeaseID{"L6", "L5", "L4", "L3", "L2", "L1", "L0"}},
		"by account":           {LeaseSelector{Account: "alice", Secret: "payments/production/orders-ro", Connection: "orders-db"}, LeasePage{Limit: 1}, []LeaseID{"L6"}},
		"by another account":   {LeaseSelector{Account: "bob"}, LeasePage{Limit: 1}, nil},
	} {
		if d := cmp.Diff(c.want, ids(c.sel, c.page)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

func TestDueLeasesAreInOrder(t *testing.T) {
	p := mustPlay(t)
	for i, ttl := range []string{"~50s", "~20s", "~90s"} {
		p.play(fmt.Sprintf("> 10s prepare_lease {\"ID\":\"L%d\",%s,\"Username\":\"u%d\",\"Name\":\"a\",\"TTL\":%q}\n> 11s activate_lease {\"ID\":\"L%d\"}", i, prepare, i, ttl, i), false)
	}
	p.play(`> 12s prepare_lease {"ID":"L3",`+prepare+`,"Username":"u3","Name":"a","TTL":"~1h"}`, false)
	mustView(t, p.state, func(v *View) {
		want := []Due{{epoch.Add(22 * time.Second), "L3"}, {epoch.Add(31 * time.Second), "L1"}, {epoch.Add(60 * time.Second), "L0"}}
		if d := cmp.Diff(want, v.DueLeases(Due{}, epoch.Add(100*time.Second), 9)); d != "" {
			t.Errorf("due (-want +got):\n%s", d)
		}
		if d := cmp.Diff(want[2:], v.DueLeases(want[1], epoch.Add(100*time.Second), 9)); d != "" {
			t.Errorf("due after the second (-want +got):\n%s", d)
		}
	})
}

func TestTryChangesNothing(t *testing.T) {
	p := mustPlay(t)
	before := dump(t, p.state)
	cmd, err := NewCommand(&CreateEnvironment{Name: "payments/x"}, time.Now(), Actor{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.state.Try(cmd)
	if err != nil || r.Value.(Environment).Name != "payments/x" {
		t.Fatalf("trying: %+v, %v", r, err)
	}
	if d := cmp.Diff(before, dump(t, p.state)); d != "" {
		t.Errorf("trying changed the state (-before +after):\n%s", d)
	}
}

func TestUnknownEntriesHalt(t *testing.T) {
	unknownField, err := encode(map[int]any{1: TypePrune, 2: 1, 3: 0, 7: []byte{0xa0}, 99: "new"})
	if err != nil {
		t.Fatal(err)
	}
	entry := func(c Command) []byte {
		data, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for name, data := range map[string][]byte{
		"garbage":         []byte("hello"),
		"empty":           nil,
		"unknown type":    entry(Command{Type: 999, Version: 1, Body: []byte{0xa0}}),
		"unknown version": entry(Command{Type: TypePrune, Version: 2, Body: []byte{0xa0}}),
		"unknown field":   unknownField,
		"foreign body":    entry(Command{Type: TypePrune, Version: 1, Body: []byte{0x63, 'a', 'b', 'c'}}),
	} {
		var reason error
		s, err := Open(Config{Dir: t.TempDir(), Halt: func(err error) { reason = err }})
		if err != nil {
			t.Fatal(err)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: applied", name)
				}
			}()
			s.Apply(&raft.Log{Index: 1, Term: 1, Data: data})
		}()
		if reason == nil || !strings.Contains(reason.Error(), "log entry 1") {
			t.Errorf("%s: halted with %v", name, reason)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestDamagedSnapshotLeavesTheState(t *testing.T) {
	p := mustPlay(t)
	want := dump(t, p.state)
	good := mustSnapshot(t, p.state)
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 0xff
	for name, data := range map[string][]byte{
		"empty": nil, "foreign": []byte("something else entirely"), "cut": good[:len(good)/2], "flipped": flipped,
	} {
		if err := p.state.Restore(io.NopCloser(bytes.NewReader(data))); err == nil {
			t.Errorf("%s: restored", name)
		}
		if d := cmp.Diff(want, dump(t, p.state)); d != "" {
			t.Fatalf("%s: the state was changed (-want +got):\n%s", name, d)
		}
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(p.state.path), "*"))
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestStateFileIsPrivateAndScratch(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	for range 2 { // the second opening discards what the first one wrote
		s, err := Open(Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		mustView(t, s, func(v *View) {
			if len(v.Environments("", 1)) != 0 {
				t.Error("a new state has an environment")
			}
		})
		p := &player{t: t, state: s, term: 1}
		p.play(`> 1s create_environment {"Name":"a/b"}`, false)
		info, err := os.Stat(filepath.Join(dir, "state.db"))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.View(func(*View) error { return nil }); !errors.Is(err, ErrClosed) {
			t.Errorf("reading a closed state: %v", err)
		}
	}
}

// Random commands on few names keep what must always be true, and any two nodes equal.
func TestRandomCommandsKeepInvariants(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := mustPlay(t)
		at, term := 10, 1
		states := map[LeaseID]LeaseState{}
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			at += rapid.IntRange(0, 4).Draw(rt, "wait")
			id := fmt.Sprintf("L%d", rapid.IntRange(0, 3).Draw(rt, "lease"))
			if rapid.IntRange(0, 15).Draw(rt, "new term") == 0 {
				term++
			}
			step := rapid.SampledFrom([]string{
				fmt.Sprintf(`key=%s:1 prepare_lease {"ID":%q,%s,"Username":"u-%s-%d","Name":"a","TTL":"~%ds"}`, id, fmt.Sprintf("%s-%d", id, at), prepare, id, at, rapid.IntRange(1, 20).Draw(rt, "ttl")),
				`activate_lease {"ID":%q,"Reply":"eA==","ReplyTTL":"~5m"}`, `begin_revoke {"ID":%q,"Cause":"revoke"}`,
				`begin_revoke {"ID":%q,"Cause":"abort","NotSent":true}`, `expire_leases {"IDs":[%q]}`, `rollback_leases {"IDs":[%q]}`,
				`finish_revoke {"Removed":[{"ID":%q}]}`, `finish_revoke {"Removed":[{"ID":%q,"Confirmed":true}]}`,
				`record_trouble {"Failures":[{"ID":%q,"Error":"e"}]}`, `prune {"KeyTTL":"~10s","HistoryTTL":"~30s","Limit":2}`,
			}).Draw(rt, "command")
			if strings.Contains(step, "%q") {
				step = fmt.Sprintf(step, pick(rt, states, id))
			}
			p.play(fmt.Sprintf("> %ds term=%d %s", at, term, step), false)
			checkInvariants(rt, p.state, states)
		}
		if d := cmp.Diff(dump(t, p.state), dump(t, mustRestore(t, p.state))); d != "" {
			rt.Fatalf("a snapshot restores to another state:\n%s", d)
		}
	})
}

func pick(rt *rapid.T, states map[LeaseID]LeaseState, otherwise string) string {
	var ids []string
	for id := range states {
		ids = append(ids, string(id))
	}
	if len(ids) == 0 {
		return otherwise
	}
	return rapid.SampledFrom(slices.Sorted(slices.Values(ids))).Draw(rt, "id")
}

var rank = map[LeaseState]int{Pending: 1, Active: 2, Revoking: 3, Revoked: 4, Expired: 4, Failed: 4}

func checkInvariants(rt *rapid.T, s *State, seen map[LeaseID]LeaseState) {
	err := s.View(func(v *View) error {
		counts := map[LeaseState]uint64{Pending: 0, Active: 0, Revoking: 0}
		var live uint64
		for _, l := range v.Leases(LeaseSelector{}, LeasePage{Limit: 1000}) {
			if rank[l.State] < rank[seen[l.ID]] || rank[seen[l.ID]] == 4 && l.State != seen[l.ID] {
				rt.Fatalf("lease %s went from %s back to %s", l.ID, seen[l.ID], l.State)
			}
			seen[l.ID] = l.State
			if l.ExpiresAt > l.MaxExpiresAt || l.CreateDeadlineAt > l.ExpiresAt {
				rt.Fatalf("lease %s: deadline %s, end %s, maximum %s", l.ID, l.CreateDeadlineAt, l.ExpiresAt, l.MaxExpiresAt)
			}
			if (l.State == Failed) == l.WasActive() && !l.State.Live() {
				rt.Fatalf("lease %s is %s, was active: %v", l.ID, l.State, l.WasActive())
			}
			if _, kept := v.Reply(l.ID, 0); kept && l.State != Active {
				rt.Fatalf("lease %s is %s and its answer is still kept", l.ID, l.State)
			}
			if len(v.LeaseEvents(l.ID)) == 0 {
				rt.Fatalf("lease %s has no history", l.ID)
			}
			if l.State.Live() {
				counts[l.State]++
				live++
				if _, ok := v.SecretVersion(l.Secret, l.SecretVersion); !ok {
					rt.Fatalf("lease %s lost the version of its secret", l.ID)
				}
			}
		}
		if d := cmp.Diff(counts, v.LeaseCounts()); d != "" {
			rt.Fatalf("counters (-want +got):\n%s", d)
		}
		if got := v.LiveLeases("payments/production/orders-ro"); got != live {
			rt.Fatalf("the secret's counter is %d, want %d", got, live)
		}
		return nil
	})
	if err != nil {
		rt.Fatal(err)
	}
}

func FuzzDecodeCommand(f *testing.F) {
	for _, body := range newBody {
		cmd, err := NewCommand(body(), time.UnixMilli(int64(epoch)), Actor{Account: "a"}, 1)
		if err != nil {
			f.Fatal(err)
		}
		data, err := cmd.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cmd, err := DecodeCommand(data)
		if err != nil {
			return
		}
		h, ok := handlers[cmd.Type]
		if !ok {
			return
		}
		body := newBody[h.name]()
		if decode(cmd.Body, body) != nil {
			return
		}
		// What was understood is written back to the same meaning.
		again, err := encode(body)
		if err != nil {
			t.Fatal(err)
		}
		body2 := newBody[h.name]()
		if err := decode(again, body2); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(body, body2); d != "" {
			t.Fatal(d)
		}
	})
}

func FuzzRestore(f *testing.F) {
	f.Add([]byte(snapshotMagic))
	f.Add([]byte("x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := mustOpen(t)
		_ = s.Restore(io.NopCloser(bytes.NewReader(data))) // must not panic; the state stays usable
		mustView(t, s, func(v *View) { v.Meta() })
	})
}

func TestFormatTTL(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"30h": 30 * time.Hour, "1h30m": 90 * time.Minute, "5m": 5 * time.Minute, "10s": 10 * time.Second,
		"1m10s": 70 * time.Second, "0s": 0, "1h0m10s": time.Hour + 10*time.Second, "-5m": -5 * time.Minute, "1.5s": 1500 * time.Millisecond,
	} {
		if got := FormatTTL(d); got != want {
			t.Errorf("%d is written %q, want %q", d, got, want)
		}
	}
}

// A key is taken with every command a client can send one with, twice, whatever the command.
func TestEveryCommandTwiceWithAKey(t *testing.T) {
	for name, body := range newBody {
		p := mustPlay(t)
		cmd, err := NewCommand(body(), epoch.Add(time.Minute).Time(), Actor{Account: "alice"}, 0)
		if err != nil {
			t.Fatal(err)
		}
		cmd.Key = NewKey("alice", name, "k", nil)
		for range 2 {
			p.apply(cmd)
		}
	}
	for _, second := range []string{
		`create_environment {"Name":"a/b"}`, `update_environment {"Name":"payments/production"}`, `delete_environment {"Name":"x/y"}`,
		`update_connection {"Name":"orders-db"}`, `update_secret {"Name":"payments/production/orders-ro"}`,
		`delete_secret {"Name":"payments/production/orders-ro"}`, `begin_revoke {"ID":"L1","Cause":"revoke"}`,
		`activate_lease {"ID":"L1"}`, `expire_leases {"IDs":["L1"]}`, `finish_revoke {"Removed":[{"ID":"L1"}]}`, `prune {"Limit":1}`,
	} {
		p := mustPlay(t, `> 10s prepare_lease {"ID":"L1",`+prepare+`,"Username":"u1","Name":"a","TTL":"~1h"}`)
		p.play("> 11s key=k:1 "+second+"\n> 12s key=k:1 "+second, false)
	}
}

// What can be encoded can be decoded: a command that is in the log must not stop the nodes.
func TestTextsThatAreNoUTF8(t *testing.T) {
	s, err := Open(Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := NewCommand(&CreateEnvironment{Name: "payments/production", Description: "\xff"}, epoch.Time(), Actor{UserAgent: "\xc3"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	data, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if r := s.Apply(&raft.Log{Index: 1, Term: 1, Data: data}).(*Result); r.Refusal != nil {
		t.Error(r.Refusal)
	}
	if err := s.View(func(v *View) error {
		if list := v.Events(0, 10); len(list) != 1 || list[0].Actor.UserAgent != "\xc3" {
			t.Errorf("events: %+v", list)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
