package chain

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// Kind says what a finding is about.
type Kind string

// The kinds of findings.
const (
	Unreadable Kind = "unreadable" // a line is no record
	Changed    Kind = "changed"    // a record is not what the next one says it was
	Missing    Kind = "missing"    // records are not there
	Reordered  Kind = "reordered"  // records are not where they belong
	Cut        Kind = "cut"        // the end, or the beginning, is gone
	Rewritten  Kind = "rewritten"  // records are not what was anchored
)

// Finding is where a log is not what was written.
type Finding struct {
	Kind Kind   `json:"kind"`
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	Seq  uint64 `json:"seq,omitempty"` // of the record, as it says itself
	Says string `json:"says"`
}

// String tells the finding in a sentence.
func (f *Finding) String() string {
	if f.File == "" {
		return f.Says
	}
	return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Says)
}

// Gap is what a log says of itself: records that could not be written.
type Gap struct {
	File   string            `json:"file"`
	Line   int               `json:"line"`
	Seq    uint64            `json:"seq"`
	Time   time.Time         `json:"time"`
	Reason string            `json:"reason"`
	Sink   string            `json:"sink,omitempty"` // that lacks the records; empty: the log itself
	Lost   map[string]uint64 `json:"lost,omitempty"`
}

// Report is what a chain was found to be.
type Report struct {
	Node     string    `json:"node"`
	Chain    string    `json:"chain"`
	Files    []string  `json:"files"`
	Records  uint64    `json:"records"`
	First    uint64    `json:"first_seq"`
	Last     uint64    `json:"last_seq"`
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	Head     string    `json:"head"`      // hash of the last record
	Complete bool      `json:"complete"`  // it begins with the first record of its chain
	Torn     bool      `json:"torn"`      // the last line has no end: it is being written, or its writer died
	Anchored uint64    `json:"anchored"`  // anchors that agree
	Older    uint64    `json:"older"`     // anchors of records before the first: not compared
	AnchorAt uint64    `json:"anchor_at"` // the newest record that an anchor proves; 0: none
	Gaps     []Gap     `json:"gaps,omitempty"`
	Finding  *Finding  `json:"finding,omitempty"` // the first; nil: the log is what was written
}

// Anchor is a place of a chain that was written down elsewhere.
type Anchor struct {
	Node  string    `json:"node"`
	Chain string    `json:"chain"`
	Seq   uint64    `json:"seq"`
	Head  string    `json:"head"`
	At    time.Time `json:"at"`
}

// Verify reads files of audit logs, in whatever order they are named, and compares them with anchors. It returns a
// report for each chain, and one without files for a chain of the same nodes that only anchors know. An error means
// that a file could not be read.
func Verify(files []string, anchors []Anchor) ([]Report, error) {
	byChain := map[string][]*source{}
	var order []string
	var reports []Report
	for _, path := range files {
		s, err := open(path)
		if err != nil {
			return nil, err
		}
		defer s.close()
		if s.empty {
			continue
		}
		if s.wrong != nil {
			reports = append(reports, Report{Files: []string{path}, Finding: &Finding{Kind: Unreadable, File: path, Line: 1, Says: "the file does not begin with a record: " + s.wrong.Error()}})
			continue
		}
		if byChain[s.first.Chain] == nil {
			order = append(order, s.first.Chain)
		}
		byChain[s.first.Chain] = append(byChain[s.first.Chain], s)
	}
	nodes := map[string]bool{}
	for _, name := range order {
		sources := byChain[name]
		slices.SortStableFunc(sources, func(a, b *source) int { return cmp.Compare(a.first.Seq, b.first.Seq) })
		w := newWalk(sources, anchors)
		if err := w.run(); err != nil {
			return nil, err
		}
		nodes[w.report.Node] = true
		reports = append(reports, w.report)
	}
	return append(reports, unseen(nodes, byChain, anchors)...), nil
}

// unseen reports chains of the nodes whose files were read that only anchors know: a log that was replaced by another
// looks like that.
func unseen(nodes map[string]bool, seen map[string][]*source, anchors []Anchor) (reports []Report) {
	newest := map[string]Anchor{}
	var order []string
	for _, a := range anchors {
		if !nodes[a.Node] || seen[a.Chain] != nil {
			continue
		}
		if _, ok := newest[a.Chain]; !ok {
			order = append(order, a.Chain)
		}
		if a.Seq >= newest[a.Chain].Seq {
			newest[a.Chain] = a
		}
	}
	for _, name := range order {
		a := newest[name]
		reports = append(reports, Report{Node: a.Node, Chain: name, Finding: &Finding{Kind: Missing, Says: fmt.Sprintf(
			"node %s had another log, chain %s, which was anchored up to record %d at %s: no file of it was given", a.Node, name, a.Seq, a.At.UTC().Format(time.RFC3339))}})
	}
	return reports
}

// source is one file.
type source struct {
	path  string
	file  *os.File
	in    *bufio.Reader
	line  int
	first Record
	wrong error // the first line is no record
	empty bool
}

func open(path string) (*source, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening an audit log: %w", err)
	}
	s := &source{path: path, file: file}
	s.in = bufio.NewReaderSize(file, 2*MaxLine)
	line, whole, err := s.next()
	switch {
	case errors.Is(err, io.EOF):
		s.empty = true
	case err != nil:
		s.close()
		return nil, err
	case !whole && len(line) < MaxLine:
		s.wrong = errors.New("its only line has no end")
	default:
		s.first, s.wrong = Parse(line)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		s.close()
		return nil, fmt.Errorf("reading an audit log: %w", err)
	}
	s.in.Reset(file)
	s.line = 0
	return s, nil
}

func (s *source) close() { _ = s.file.Close() } // it was only read

// next returns the next line without its end, and whether it has one. A line that is too long is cut.
func (s *source) next() (line []byte, whole bool, err error) {
	s.line++
	line, err = s.in.ReadSlice('\n')
	switch {
	case err == nil:
		return line[:len(line)-1], true, nil
	case errors.Is(err, bufio.ErrBufferFull):
		return line, false, nil // longer than any record: it will not parse
	case errors.Is(err, io.EOF) && len(line) > 0:
		return line, false, nil
	case errors.Is(err, io.EOF):
		return nil, false, io.EOF
	}
	return nil, false, fmt.Errorf("reading %s: %w", s.path, err)
}

// find returns where a record of that number stands behind the present line.
func find(sources []*source, seq uint64) (path string, line int) {
	for _, s := range sources {
		for {
			text, whole, err := s.next()
			if err != nil {
				break
			}
			if !whole || !bytes.Contains(text, fmt.Appendf(nil, `"seq":%d,`, seq)) {
				continue
			}
			if r, err := Parse(text); err == nil && r.Seq == seq {
				return s.path, s.line
			}
		}
	}
	return "", 0
}

// Nodes names the nodes whose logs the files are.
func Nodes(files []string) ([]string, error) {
	var nodes []string
	for _, path := range files {
		s, err := open(path)
		if err != nil {
			return nil, err
		}
		s.close()
		if node := s.first.Node; node != "" && !slices.Contains(nodes, node) {
			nodes = append(nodes, node)
		}
	}
	return nodes, nil
}
