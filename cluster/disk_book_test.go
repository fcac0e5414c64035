package cluster

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What counts as a bad disk, and for how long.
func TestDiskBook(t *testing.T) {
	const bound = time.Second
	for name, tc := range map[string]struct {
		write func(b *diskBook)
		says  string // empty: the disk is well
	}{
		"nothing":            {func(*diskBook) {}, ""},
		"fast":               {func(b *diskBook) { write(b, bound, nil) }, ""},
		"slow":               {func(b *diskBook) { write(b, bound+1, nil) }, "slow: writing the log took 1s"},
		"under way":          {func(b *diskBook) { b.begin(true); time.Sleep(bound) }, ""},
		"hangs":              {func(b *diskBook) { b.begin(true); time.Sleep(3 * bound) }, "hangs: it has been writing the log for 3s"},
		"failed":             {func(b *diskBook) { write(b, 0, errors.New("no space left")) }, "cannot be written: no space left"},
		"slow, and fast":     {func(b *diskBook) { write(b, 2*bound, nil); write(b, 0, nil) }, "slow"},
		"slow, but long ago": {func(b *diskBook) { write(b, 2*bound, nil); time.Sleep(diskRest*bound + 1) }, ""},
		"hangs in a probe":   {func(b *diskBook) { b.begin(false); time.Sleep(2 * bound) }, "hangs"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &diskBook{bound: bound}
				tc.write(b)
				switch err := b.look().Trouble; {
				case tc.says == "" && err != nil, tc.says != "" && (err == nil || !strings.Contains(err.Error(), tc.says)):
					t.Errorf("got %v, want %q", err, tc.says)
				}
			})
		})
	}
}

func write(b *diskBook, took time.Duration, err error) {
	end := b.begin(true)
	time.Sleep(took)
	end(err)
}

func TestDiskNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &diskBook{bound: time.Second}
		write(b, 300*time.Millisecond, nil)
		write(b, 100*time.Millisecond, nil)
		b.begin(false) // no write of the log
		view := b.look()
		if view.Writes != 2 || view.WriteTime != 400*time.Millisecond || view.Last != 100*time.Millisecond || view.Longest != 300*time.Millisecond {
			t.Errorf("got %+v", view)
		}
		time.Sleep(diskWindow)
		if got := b.look().Longest; got != 300*time.Millisecond {
			t.Errorf("after a minute: %s", got)
		}
		time.Sleep(diskWindow)
		if got := b.look().Longest; got != 0 {
			t.Errorf("after two minutes: %s", got)
		}
	})
}

func TestLowSpace(t *testing.T) {
	const gib = 1 << 30
	for name, tc := range map[string]struct {
		free, size uint64
		low        bool
	}{
		"unknown":      {0, 0, false},
		"plenty":       {50 * gib, 100 * gib, false},
		"four percent": {4 * gib, 100 * gib, true},
		"a small disk": {gib / 4, gib, true},
		"full":         {0, 100 * gib, true},
	} {
		if got := (DiskView{Free: tc.free, Size: tc.size}).LowSpace(); (got != "") != tc.low {
			t.Errorf("%s: %q", name, got)
		}
	}
}
