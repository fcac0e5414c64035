package chain_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"broker/access/audit/chain"
)

// written makes the lines of a log: so many records, a rotation before each of the numbers given.
func written(name string, count int, rotations ...int) (lines []string) {
	prev := ""
	for seq := 1; seq <= count; seq++ {
		kind := "request"
		switch {
		case seq == 1:
			kind = "start"
		case slices.Contains(rotations, seq):
			kind = "rotate"
		}
		line := fmt.Sprintf(`{"v":1,"chain":%q,"seq":%d,"prev":%q,"time":"2026-01-02T03:04:05.678Z","type":%q,"node":"n1","id":"R%d"}`, name, seq, prev, kind, seq)
		prev = chain.HashOf([]byte(line)).String()
		lines = append(lines, line)
	}
	return lines
}

func anchorOf(lines []string, seq int) chain.Anchor {
	return chain.Anchor{Node: "n1", Chain: "A", Seq: uint64(seq), Head: chain.HashOf([]byte(lines[seq-1])).String(), At: time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)}
}

// mustFiles writes each list of lines to a file: a.log, b.log and so on.
func mustFiles(t testing.TB, lists ...[]string) (paths []string) {
	t.Helper()
	dir := t.TempDir()
	for i, lines := range lists {
		path := filepath.Join(dir, string(rune('a'+i))+".log")
		if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

func TestVerify(t *testing.T) {
	good := func() []string { return written("A", 20, 11) }
	tests := []struct {
		name    string
		tamper  func(first, second []string) ([]string, []string)
		anchors []int                    // of the log as it was written
		kind    chain.Kind               // empty: it is what was written
		at      string                   // file and line of the finding
		says    string                   // a part of it
		more    func(chain.Report) error // of a log that is what was written
	}{
		{name: "as it was", anchors: []int{5, 15, 20}, more: func(r chain.Report) error {
			if r.Records != 20 || r.First != 1 || r.Last != 20 || !r.Complete || r.Anchored != 3 || r.AnchorAt != 20 {
				return fmt.Errorf("%+v", r)
			}
			return nil
		}},
		{name: "a byte", tamper: func(a, b []string) ([]string, []string) { a[4] = strings.Replace(a[4], "R5", "R6", 1); return a, b }, kind: chain.Changed, at: "a.log:5", says: "record 5 was changed"},
		{name: "a byte of the last record of a file", tamper: func(a, b []string) ([]string, []string) {
			a[9] = strings.Replace(a[9], "R10", "R11", 1)
			return a, b
		}, kind: chain.Changed, at: "a.log:10", says: "record 10 was changed"},
		{name: "a byte of the last record of all", tamper: func(a, b []string) ([]string, []string) {
			b[9] = strings.Replace(b[9], "R20", "R21", 1)
			return a, b
		}, anchors: []int{20}, kind: chain.Rewritten, at: "b.log:10", says: "record 20 is not the one that was anchored"},
		{name: "a prev", tamper: func(a, b []string) ([]string, []string) {
			at := strings.Index(a[4], `"prev":"`) + 8
			a[4] = a[4][:at] + "0000" + a[4][at+4:]
			return a, b
		}, kind: chain.Changed, at: "a.log:5", says: "record 5 was changed"},
		{name: "a blank", tamper: func(a, b []string) ([]string, []string) { a[4] += " "; return a, b }, kind: chain.Changed, at: "a.log:5"},
		{name: "a line removed", tamper: func(a, b []string) ([]string, []string) { return slices.Delete(a, 4, 5), b }, kind: chain.Missing, at: "a.log:5", says: "record 5 is missing before record 6"},
		{name: "lines removed", tamper: func(a, b []string) ([]string, []string) { return slices.Delete(a, 4, 7), b }, kind: chain.Missing, at: "a.log:5", says: "records 5 to 7 are missing"},
		{name: "lines swapped", tamper: func(a, b []string) ([]string, []string) { a[4], a[5] = a[5], a[4]; return a, b }, kind: chain.Reordered, at: "a.log:5", says: "where record 5 belongs"},
		{name: "lines swapped over files", tamper: func(a, b []string) ([]string, []string) { a[4], b[5] = b[5], a[4]; return a, b }, kind: chain.Reordered, at: "a.log:5", says: "b.log:6"},
		{name: "a line repeated", tamper: func(a, b []string) ([]string, []string) { return slices.Insert(a, 5, a[4]), b }, kind: chain.Reordered, at: "a.log:6"},
		{name: "a line of something else", tamper: func(a, b []string) ([]string, []string) { a[4] = "hello"; return a, b }, kind: chain.Unreadable, at: "a.log:5", says: "before it is record 4"},
		{name: "an empty line", tamper: func(a, b []string) ([]string, []string) { return slices.Insert(a, 5, ""), b }, kind: chain.Unreadable, at: "a.log:6"},
		{name: "a record of another log", tamper: func(a, b []string) ([]string, []string) { a[4] = written("B", 9)[4]; return a, b }, kind: chain.Changed, at: "a.log:5", says: "another log"},
		{name: "the end of the first file", tamper: func(a, b []string) ([]string, []string) { return a[:8], b }, kind: chain.Missing, at: "b.log:1", says: "records 9 to 10 are missing"},
		{name: "the end of all, with anchors", tamper: func(a, b []string) ([]string, []string) { return a, b[:5] }, anchors: []int{15, 20}, kind: chain.Cut, at: "b.log:5", says: "ends at record 15; record 20 was anchored"},
		{name: "the end of all, behind the last anchor", tamper: func(a, b []string) ([]string, []string) { return a, b[:5] }, anchors: []int{15}},
		{name: "the beginning of the first file", tamper: func(a, b []string) ([]string, []string) { return a[3:], b }, kind: chain.Cut, at: "a.log:1", says: "cut off"},
		{name: "all anew", tamper: func(a, b []string) ([]string, []string) {
			forged := written("A", 20, 11, 3) // another type, and all hashes after it
			return forged[:10], forged[10:]
		}, anchors: []int{2, 15}, kind: chain.Rewritten, at: "b.log:5", says: "record 2 is still what was anchored"},
		{name: "the first file left out", tamper: func(a, b []string) ([]string, []string) { return nil, b }, anchors: []int{5, 15}, more: func(r chain.Report) error {
			if r.Complete || r.Older != 1 || r.Anchored != 1 || r.First != 11 {
				return fmt.Errorf("%+v", r)
			}
			return nil
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			lines := good()
			var anchors []chain.Anchor
			for _, seq := range test.anchors {
				anchors = append(anchors, anchorOf(lines, seq))
			}
			first, second := lines[:10:10], lines[10:]
			if test.tamper != nil {
				first, second = test.tamper(first, second)
			}
			files := mustFiles(t, first, second)
			if len(first) == 0 {
				files = files[1:]
			}
			for _, order := range [][]string{files, reversed(files)} {
				reports, err := chain.Verify(order, anchors)
				if err != nil || len(reports) != 1 {
					t.Fatalf("%d reports, %v", len(reports), err)
				}
				r := reports[0]
				switch {
				case test.kind == "" && r.Finding != nil:
					t.Errorf("%s: %s", r.Finding.Kind, r.Finding)
				case test.kind == "":
					if test.more != nil {
						if err := test.more(r); err != nil {
							t.Error(err)
						}
					}
				case r.Finding == nil:
					t.Errorf("nothing was found, want %s", test.kind)
				default:
					at := fmt.Sprintf("%s:%d", filepath.Base(r.Finding.File), r.Finding.Line)
					if r.Finding.Kind != test.kind || at != test.at || !strings.Contains(r.Finding.Says, test.says) {
						t.Errorf("%s at %s: %s; want %s at %s: %s", r.Finding.Kind, at, r.Finding.Says, test.kind, test.at, test.says)
					}
				}
			}
		})
	}
}

func reversed(list []string) []string {
	list = slices.Clone(list)
	slices.Reverse(list)
	return list
}

// Every byte counts: whichever is changed, there is a finding.
func TestEveryByte(t *testing.T) {
	lines := written("A", 5, 3)
	path := mustFiles(t, lines)[0]
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	anchors := []chain.Anchor{anchorOf(lines, 5)}
	for i := range data[:len(data)-1] { // without the last end of line, whose lack looks like a write under way
		changed := bytes.Clone(data)
		changed[i] ^= 1
		if err := os.WriteFile(path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		reports, err := chain.Verify([]string{path}, anchors)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(reports, func(r chain.Report) bool { return r.Finding != nil }) {
			t.Errorf("byte %d may be changed: %q", i, changed[max(0, i-20):min(len(changed), i+20)])
		}
	}
}

// A line without an end is being written, in the newest file; in an older one it is cut.
func TestTornLine(t *testing.T) {
	lines := written("A", 20, 11)
	files := mustFiles(t, lines[:10], lines[10:])
	for i, want := range []chain.Kind{chain.Unreadable, ""} {
		data, err := os.ReadFile(files[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(files[i], data[:len(data)-10], 0o600); err != nil {
			t.Fatal(err)
		}
		reports, err := chain.Verify(files, nil)
		if err != nil {
			t.Fatal(err)
		}
		r := reports[0]
		switch {
		case want == "" && (r.Finding != nil || !r.Torn || r.Last != 19):
			t.Errorf("%+v %v", r, r.Finding)
		case want != "" && (r.Finding == nil || r.Finding.Kind != want):
			t.Errorf("%+v", r)
		}
		if err := os.WriteFile(files[i], data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Logs of several nodes are told apart, and a log that only anchors know is missed.
func TestSeveralChains(t *testing.T) {
	a, b := written("A", 5), written("B", 5)
	for i := range b {
		b[i] = strings.Replace(b[i], `"n1"`, `"n2"`, 1)
	}
	files := mustFiles(t, a, b[:1])
	anchors := []chain.Anchor{anchorOf(a, 5), {Node: "n1", Chain: "LOST", Seq: 7, Head: strings.Repeat("0", 64)}, {Node: "n3", Chain: "C", Seq: 9}}
	reports, err := chain.Verify(files, anchors)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range reports {
		says := "fine"
		if r.Finding != nil {
			says = string(r.Finding.Kind)
		}
		got = append(got, fmt.Sprint(r.Node, " ", r.Chain, " ", says))
	}
	if d := cmp.Diff([]string{"n1 A fine", "n2 B fine", "n1 LOST missing"}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if _, err := chain.Verify([]string{files[0] + ".none"}, nil); err == nil {
		t.Error("a file that is not there is verified")
	}
}

func FuzzParse(f *testing.F) {
	for _, line := range written("A", 3, 2) {
		f.Add([]byte(line))
	}
	f.Add([]byte(`null`))
	f.Add([]byte(`{"v":1,"chain":"A","seq":1e3,"prev":"","time":"2026-01-02T03:04:05Z","type":"gap","lost":{"calls":-1}}`))
	f.Add([]byte("{\"v\":1,\n"))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := chain.Parse(line)
		if err == nil && (r.V != chain.Version || r.Seq == 0 || r.Chain == "" || r.Prev == "" && r.Seq != 1 || r.Prev != "" && len(r.Prev) != 64) {
			t.Errorf("%q is taken for %+v", line, r)
		}
	})
}
