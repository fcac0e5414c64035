package cluster

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"pgregory.net/rapid"
)

// journalKit is a journal in a directory with what it was told.
type journalKit struct {
	*journal
	dir  string
	want []*raft.Log // in order
}

func openKit(t require, dir string, size int64) *journalKit {
	bolt, err := raftboltdb.New(raftboltdb.Options{Path: filepath.Join(dir, logFile), NoSync: true, MsgpackUseNewTimeFormat: true})
	must(t, err)
	j, err := openJournal(dir, bolt, size, noSync, func(string, ...any) {}, func(error) {})
	if err != nil {
		_ = bolt.Close()
	}
	must(t, err)
	return &journalKit{journal: j, dir: dir}
}

// noSync flushes nothing.
func noSync(*os.File) error { return nil }

// require is what tests and properties have in common.
type require interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func must(t require, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (k *journalKit) shut(t require) {
	must(t, errors.Join(k.close(), k.bolt.Close()))
}

// check compares all that can be read with what was told.
func (k *journalKit) check(t require) {
	t.Helper()
	var first, last uint64
	if n := len(k.want); n > 0 {
		first, last = k.want[0].Index, k.want[n-1].Index
	}
	gotFirst, err := k.FirstIndex()
	must(t, err)
	gotLast, err := k.LastIndex()
	must(t, err)
	if gotFirst != first || gotLast != last {
		t.Fatalf("the log goes from %d to %d, want %d to %d", gotFirst, gotLast, first, last)
	}
	for _, want := range k.want {
		var got raft.Log
		must(t, k.GetLog(want.Index, &got))
		if diff := cmp.Diff(*want, got); diff != "" {
			t.Fatalf("entry %d (-want +got):\n%s", want.Index, diff)
		}
	}
	for _, outside := range []uint64{first - 1, last + 1} {
		if err := k.GetLog(outside, new(raft.Log)); !errors.Is(err, raft.ErrLogNotFound) {
			t.Fatalf("entry %d: %v, want not found", outside, err)
		}
	}
}

func (k *journalKit) add(t require, term uint64, sizes ...int) {
	t.Helper()
	must(t, k.StoreLogs(k.entries(term, sizes...)))
}

// entries makes those that come next and adds them to what is wanted.
func (k *journalKit) entries(term uint64, sizes ...int) (list []*raft.Log) {
	next := uint64(7) // a log may begin anywhere
	if n := len(k.want); n > 0 {
		next = k.want[n-1].Index + 1
	}
	for i, size := range sizes {
		e := &raft.Log{Index: next + uint64(i), Term: term, Type: raft.LogType(i % 4), AppendedAt: time.Unix(1700000000, int64(i)).UTC().Local()}
		if size > 0 {
			e.Data = []byte(strings.Repeat(fmt.Sprint(e.Index%10), size))
		}
		if size%3 == 1 {
			e.Extensions = []byte{byte(size)}
		}
		list = append(list, e)
	}
	k.want = append(k.want, list...)
	return list
}

// copied returns what a crash of the process or the machine would leave now.
func copied(t require, dir, to string) string {
	must(t, os.MkdirAll(to, 0o700))
	files, err := os.ReadDir(dir)
	must(t, err)
	for _, f := range files {
		from, err := os.Open(filepath.Join(dir, f.Name()))
		must(t, err)
		into, err := os.Create(filepath.Join(to, f.Name()))
		must(t, err)
		_, err = io.Copy(into, from)
		must(t, errors.Join(err, from.Close(), into.Close()))
	}
	return to
}

// settled waits until nothing is on its way to raft-boltdb, which a copy would tear.
func (k *journalKit) settled() {
	if n := len(k.want); n > 0 {
		_ = k.waitDurable(k.want[n-1].Index, time.Minute)
	}
	k.mu.RLock()
	moved := k.moved
	k.mu.RUnlock()
	if moved != nil {
		<-moved
	}
}

// Whatever is stored and deleted, and wherever the node stops or crashes, the log is what was acknowledged.
func TestJournalIsALog(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		root, err := os.MkdirTemp("", "journal")
		must(t, err)
		defer os.RemoveAll(root)
		lives := 0
		live := func() string { lives++; return filepath.Join(root, fmt.Sprint(lives)) }
		dir := live()
		must(t, os.MkdirAll(dir, 0o700))
		k := openKit(t, dir, 4096)
		term := uint64(1)
		deferring := false
		k.mayDefer = func() bool { return deferring }
		reopen := func(dir string) {
			want := k.want
			k = openKit(t, dir, 4096)
			k.want, k.mayDefer = want, func() bool { return deferring }
		}
		t.Repeat(map[string]func(*rapid.T){
			"store": func(t *rapid.T) {
				k.add(t, term, rapid.SliceOfN(rapid.IntRange(0, 1500), 1, 6).Draw(t, "sizes")...)
			},
			"lead or follow": func(*rapid.T) { deferring = !deferring },
			"conflict": func(t *rapid.T) {
				if n := len(k.want); n > 0 {
					keep := rapid.IntRange(0, n-1).Draw(t, "keep")
					must(t, k.DeleteRange(k.want[keep].Index, k.want[n-1].Index))
					k.want = k.want[:keep]
					term++
				}
			},
			"compact": func(t *rapid.T) {
				if n := len(k.want); n > 1 {
					drop := rapid.IntRange(1, n-1).Draw(t, "drop")
					must(t, k.DeleteRange(k.want[0].Index, k.want[drop-1].Index))
					k.want = k.want[drop:]
				}
			},
			"restart": func(t *rapid.T) {
				k.shut(t)
				reopen(k.dir)
			},
			"crash": func(t *rapid.T) {
				k.settled()
				next := copied(t, k.dir, live())
				k.shut(t)
				reopen(next)
			},
			"crash while writing": func(t *rapid.T) {
				// Of the record that is being written the disk has some sectors, and nobody was told that it has.
				k.settled()
				at, file := k.offset, filepath.Base(k.files[k.active].Name())
				acknowledged := k.want
				before, err := os.ReadFile(k.files[k.active].Name())
				must(t, err)
				must(t, k.append(k.entries(term, 900, 300)))
				torn := copied(t, k.dir, live())
				k.shut(t)
				data, err := os.ReadFile(filepath.Join(torn, file))
				must(t, err)
				lost := rapid.IntRange(0, 2).Draw(t, "certainly lost")
				for n := range 3 {
					sector := at + int64(n)*journalSector
					if n == lost || rapid.Bool().Draw(t, "lost") {
						old := make([]byte, journalSector)
						if sector < int64(len(before)) {
							copy(old, before[sector:])
						}
						copy(data[sector:], old)
					}
				}
				must(t, os.WriteFile(filepath.Join(torn, file), data, 0o600))
				written := k.want
				k.want = acknowledged
				reopen(torn)
				// The sectors may have held the same before: then the record is whole, which is fine too.
				if last, err := k.LastIndex(); err == nil && last == written[len(written)-1].Index {
					k.want = written
				}
			},
			"crash while changing files": func(t *rapid.T) {
				// The other file's first sector is new or old; nothing of the next record is there.
				k.settled()
				k.writing.Lock()
				k.offset = max(k.offset, k.size)
				must(t, k.change())
				k.writing.Unlock()
				k.settled()
				next := copied(t, k.dir, live())
				k.shut(t)
				reopen(next)
			},
			"": func(t *rapid.T) { k.check(t) },
		})
		k.shut(t)
	})
}

// A damaged record with others behind it was acknowledged: the node must not begin without it.
func TestJournalDamaged(t *testing.T) {
	for name, at := range map[string]int{"a record in the middle": 1100, "the beginning of the file": 3} {
		t.Run(name, func(t *testing.T) {
			k := openKit(t, t.TempDir(), 4096)
			for range 3 {
				k.add(t, 1, 100, 200)
			}
			dir := copied(t, k.dir, t.TempDir())
			defer k.shut(t)
			path := filepath.Join(dir, fmt.Sprintf(journalFiles, 0))
			data, err := os.ReadFile(path)
			must(t, err)
			data[at]++
			must(t, os.WriteFile(path, data, 0o600))
			bolt, err := raftboltdb.New(raftboltdb.Options{Path: filepath.Join(dir, logFile)})
			must(t, err)
			defer bolt.Close()
			if _, err := openJournal(dir, bolt, 4096, noSync, func(string, ...any) {}, func(error) {}); err == nil || !strings.Contains(err.Error(), "damaged") {
				t.Errorf("opening a damaged journal: %v", err)
			}
		})
	}
}

// Entries between what raft-boltdb has and what the journal has were acknowledged once.
func TestJournalWithAGap(t *testing.T) {
	dir := t.TempDir()
	k := openKit(t, dir, 4096)
	k.add(t, 1, 10, 10)
	k.shut(t)
	k = openKit(t, dir, 4096)
	k.want = []*raft.Log{{Index: 8}}
	k.add(t, 1, 10, 10)
	torn := copied(t, dir, t.TempDir())
	k.shut(t)
	bolt, err := raftboltdb.New(raftboltdb.Options{Path: filepath.Join(torn, logFile)})
	must(t, err)
	defer bolt.Close()
	must(t, bolt.DeleteRange(8, 8))
	if _, err := openJournal(torn, bolt, 4096, noSync, func(string, ...any) {}, func(error) {}); err == nil || !strings.Contains(err.Error(), "lost") {
		t.Errorf("opening a log with a gap: %v", err)
	}
}

// While raft-boltdb takes nothing the journal goes on, up to its limit; once it does, nothing is missing.
func TestJournalWhileNothingMoves(t *testing.T) {
	k := openKit(t, t.TempDir(), 2048)
	k.most = 16384
	k.add(t, 1, 300)
	good := k.bolt
	broken, err := raftboltdb.New(raftboltdb.Options{Path: filepath.Join(t.TempDir(), logFile)})
	must(t, err)
	must(t, broken.Close())
	k.bolt = broken
	stored := 1
	for ; stored < 1000; stored++ {
		if err = k.StoreLogs(k.entries(1, 300)); err != nil {
			k.want = k.want[:len(k.want)-1]
			break
		}
		k.settled()
	}
	if stored < 20 || err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("after %d entries: %v", stored, err)
	}
	crashed := copied(t, k.dir, t.TempDir())
	k.bolt = good
	k.mu.Lock()
	k.movedAt = time.Time{}
	k.mu.Unlock()
	k.add(t, 1, 10)
	k.settled()
	k.add(t, 1, 10)
	k.check(t)
	k.shut(t)

	again := openKit(t, crashed, 2048)
	again.want = k.want[:stored]
	again.check(t)
	again.shut(t)
}

// Once a flush has failed nothing more is acknowledged, and the node is told to end.
func TestJournalFails(t *testing.T) {
	for name, break_ := range map[string]func(*journal){
		"the active file": func(j *journal) { j.files[j.active] = mute(t) },
		"the other file":  func(j *journal) { j.files[1-j.active] = mute(t) },
	} {
		t.Run(name, func(t *testing.T) {
			k := openKit(t, t.TempDir(), 2048)
			defer k.bolt.Close()
			var halted error
			k.halt = func(err error) { halted = err }
			k.sync = flush
			k.add(t, 1, 100)
			break_(k.journal)
			for range 10 {
				if err := k.StoreLogs(k.entries(1, 700)); err != nil {
					k.want = k.want[:len(k.want)-1]
					break
				}
			}
			if halted == nil {
				t.Fatal("the node goes on")
			}
			if err := k.DeleteRange(7, 7); err == nil {
				t.Error("something was deleted")
			}
			if err := k.StoreLogs(k.entries(1, 10)); err == nil {
				t.Error("an entry was acknowledged")
			}
			if err := k.close(); err == nil {
				t.Error("closing it tells nothing")
			}
		})
	}
}

// mute returns a file that takes what is written and cannot be flushed.
func mute(t *testing.T) *os.File {
	f, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// A leader's entries can be read before they are on disk, and are waited for where it matters.
func TestJournalDefers(t *testing.T) {
	k := openKit(t, t.TempDir(), 4096)
	var disk sync.Mutex // held: it hangs
	k.sync = func(*os.File) error { disk.Lock(); defer disk.Unlock(); return nil }
	k.mayDefer = func() bool { return true }
	k.add(t, 1, 10)
	must(t, k.waitDurable(7, time.Minute))

	disk.Lock()
	k.add(t, 1, 10, 10)
	k.add(t, 1, 10)
	k.check(t)
	if err := k.waitDurable(8, 10*time.Millisecond); err == nil {
		t.Error("an entry is said to be on a disk that hangs")
	}
	waited := make(chan error, 2)
	go func() { waited <- k.waitDurable(10, time.Minute) }()
	go func() {
		// What changes the membership is waited for, and all before it.
		waited <- k.StoreLog(&raft.Log{Index: 11, Term: 1, Type: raft.LogConfiguration})
	}()
	select {
	case err := <-waited:
		t.Errorf("returned while the disk hangs: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	disk.Unlock()
	must(t, <-waited)
	must(t, <-waited)
	again := openKit(t, copied(t, k.dir, t.TempDir()), 4096)
	if last, err := again.LastIndex(); err != nil || last != 11 {
		t.Errorf("after a crash the log ends at %d, %v; want 11", last, err)
	}
	again.shut(t)

	// Deleting waits for all of it, and what follows takes the place of what was deleted.
	disk.Lock()
	k.want = append(k.want, &raft.Log{Index: 11, Term: 1, Type: raft.LogConfiguration})
	k.add(t, 1, 10)
	go disk.Unlock()
	must(t, k.DeleteRange(9, 12))
	k.want = k.want[:2]
	k.check(t)
	k.add(t, 2, 10)
	must(t, k.waitDurable(9, time.Minute))
	k.check(t)
	k.shut(t)
}

// While nothing can be written a leader hears of it with the next entries; afterwards nothing is missing.
func TestJournalDefersToAFullDisk(t *testing.T) {
	k := openKit(t, t.TempDir(), 4096)
	k.mayDefer = func() bool { return true }
	k.add(t, 1, 10)
	must(t, k.waitDurable(7, time.Minute))
	k.writing.Lock()
	good := k.files[k.active]
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	must(t, err)
	defer full.Close()
	k.files[k.active] = full
	k.writing.Unlock()
	k.add(t, 1, 10) // nobody knows yet
	if err := k.waitDurable(8, time.Minute); err == nil {
		t.Error("an entry is said to be on a full disk")
	}
	if err := k.StoreLogs([]*raft.Log{{Index: 9, Term: 1}}); err == nil {
		t.Error("a leader's entry was taken")
	}
	k.mayDefer = func() bool { return false }
	if err := k.StoreLogs([]*raft.Log{{Index: 9, Term: 2}}); err == nil {
		t.Error("a follower's entry was acknowledged")
	}
	k.check(t)
	k.writing.Lock()
	k.files[k.active] = good
	k.writing.Unlock()
	k.add(t, 2, 10)
	must(t, k.waitDurable(9, time.Minute))
	must(t, k.StoreLogs(k.want[1:])) // Raft repeats what it was told has failed
	k.check(t)
	again := openKit(t, copied(t, k.dir, t.TempDir()), 4096)
	again.want = k.want
	again.check(t)
	again.shut(t)
	k.shut(t)
}

// What a follower could not write says nothing about the disk when it is a leader later.
func TestJournalLeadsAfterAFullDisk(t *testing.T) {
	k := openKit(t, t.TempDir(), 4096)
	k.add(t, 1, 10)
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	must(t, err)
	defer full.Close()
	good := k.files[k.active]
	k.files[k.active] = full
	if err := k.StoreLogs([]*raft.Log{{Index: 8, Term: 1}}); err == nil {
		t.Error("a follower's entry was acknowledged")
	}
	k.check(t)
	k.files[k.active] = good
	k.mayDefer = func() bool { return true }
	k.add(t, 2, 10)
	must(t, k.waitDurable(8, time.Minute))
	k.check(t)
	k.shut(t)
}

// Raft compacts the log beside everything else.
func TestJournalCompactsWhileItStores(t *testing.T) {
	for _, defers := range []bool{false, true} {
		t.Run(fmt.Sprintf("defers=%t", defers), func(t *testing.T) {
			k := openKit(t, t.TempDir(), 4096)
			k.mayDefer = func() bool { return defers }
			k.add(t, 1, 10, 10, 10)
			stored := make(chan uint64, 1000)
			var compacting sync.WaitGroup
			compacting.Go(func() {
				for last := range stored {
					if first, err := k.FirstIndex(); err != nil || k.DeleteRange(first, last-2) != nil {
						t.Errorf("compacting: %v", err)
					}
				}
			})
			for i := range 500 {
				k.add(t, 1, i%400, 3)
				var got raft.Log
				for _, want := range k.want[len(k.want)-3:] {
					if err := k.GetLog(want.Index, &got); err != nil || got.Index != want.Index {
						t.Fatalf("entry %d: %v", want.Index, err)
					}
				}
				if i%5 == 0 {
					select {
					case stored <- k.want[len(k.want)-2].Index:
					default:
					}
				}
			}
			close(stored)
			compacting.Wait()
			first, err := k.FirstIndex()
			must(t, err)
			k.want = k.want[first-k.want[0].Index:]
			k.check(t)
			dir := k.dir
			k.shut(t)
			again := openKit(t, dir, 4096)
			again.want = k.want
			again.check(t)
			again.shut(t)
		})
	}
}

func TestJournalRefusesGaps(t *testing.T) {
	k := openKit(t, t.TempDir(), 4096)
	defer k.shut(t)
	k.add(t, 1, 1, 1)
	for _, index := range []uint64{7, 8, 10} {
		if err := k.StoreLog(&raft.Log{Index: index, Term: 2}); err == nil {
			t.Errorf("entry %d after 8 was taken", index)
		}
	}
	k.check(t)
}

func BenchmarkJournal(b *testing.B) {
	dir := b.TempDir()
	bolt, err := raftboltdb.New(raftboltdb.Options{Path: filepath.Join(dir, logFile)})
	must(b, err)
	j, err := openJournal(dir, bolt, journalSize, flush, func(string, ...any) {}, func(error) {})
	must(b, err)
	defer func() { must(b, errors.Join(j.close(), bolt.Close())) }()
	for name, log := range map[string]raft.LogStore{"journal": j, "raft-boltdb": bolt} {
		index := uint64(1)
		if name == "raft-boltdb" {
			index = 1 << 40 // beside the other's
		}
		for _, batch := range []int{1, 8, 32} {
			b.Run(fmt.Sprintf("%s/%d", name, batch), func(b *testing.B) {
				for b.Loop() {
					list := make([]*raft.Log, batch)
					for i := range list {
						list[i] = &raft.Log{Index: index, Data: make([]byte, 300+rand.IntN(200))}
						index++
					}
					must(b, log.StoreLogs(list))
				}
			})
		}
	}
}
