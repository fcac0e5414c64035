package chain

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// place is a record that was read, and where.
type place struct {
	record Record
	hash   Hash
	path   string
	line   int
}

// walk follows one chain through its files.
type walk struct {
	sources []*source
	left    []*source // those that were not begun
	anchors map[uint64]Anchor
	last    Anchor // the newest of this chain
	report  Report
	before  place // the last record that was read; its seq is zero before the first
}

func newWalk(sources []*source, anchors []Anchor) *walk {
	first := sources[0].first
	w := &walk{sources: sources, anchors: map[uint64]Anchor{}}
	w.report = Report{Node: first.Node, Chain: first.Chain, First: first.Seq, From: first.Time}
	for _, s := range sources {
		w.report.Files = append(w.report.Files, s.path)
	}
	for _, a := range anchors {
		if a.Chain != first.Chain || a.Node != first.Node {
			continue
		}
		if a.Seq < first.Seq {
			w.report.Older++
			continue
		}
		w.anchors[a.Seq] = a
		if a.Seq >= w.last.Seq {
			w.last = a
		}
	}
	return w
}

// run reads up to the first finding.
func (w *walk) run() error {
	for i, s := range w.sources {
		w.left = w.sources[i+1:]
		for {
			text, whole, err := s.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			if !whole && i == len(w.sources)-1 && len(text) < MaxLine {
				w.report.Torn = true
				break
			}
			if w.take(s, text, whole); w.report.Finding != nil {
				w.end()
				return nil
			}
		}
	}
	w.end()
	if w.last.Seq > w.before.record.Seq && w.report.Finding == nil {
		w.report.Finding = &Finding{Kind: Cut, File: w.before.path, Line: w.before.line, Seq: w.before.record.Seq, Says: fmt.Sprintf(
			"the log ends at record %d; record %d was anchored at %s: what came after record %d was cut off, or is in a file that was not given",
			w.before.record.Seq, w.last.Seq, w.last.At.UTC().Format(time.RFC3339), w.before.record.Seq)}
	}
	return nil
}

func (w *walk) end() {
	w.report.Last, w.report.To, w.report.Head = w.before.record.Seq, w.before.record.Time, w.before.hash.String()
}

// take judges the next line.
func (w *walk) take(s *source, text []byte, whole bool) {
	found := func(kind Kind, at place, format string, args ...any) {
		w.report.Finding = &Finding{Kind: kind, File: at.path, Line: at.line, Seq: at.record.Seq, Says: fmt.Sprintf(format, args...)}
	}
	here := place{path: s.path, line: s.line}
	r, err := Parse(text)
	if err == nil && !whole {
		err = errors.New("the line has no end")
	}
	if err != nil {
		found(Unreadable, here, "%s; before it is record %d", err, w.before.record.Seq)
		return
	}
	here.record, here.hash = r, HashOf(text)
	prior := w.before
	want := prior.record.Seq + 1
	switch {
	case prior.record.Seq == 0 && r.Seq != 1 && r.Type != TypeRotate:
		found(Cut, here, "the file begins with record %d, which is no rotation: what came before it in this file was cut off", r.Seq)
	case prior.record.Seq == 0:
		w.report.Complete = r.Seq == 1
	case r.Chain != prior.record.Chain || r.Node != prior.record.Node:
		found(Changed, here, "record %d is of another log: node %q, chain %q", r.Seq, r.Node, r.Chain)
	case r.Seq < want:
		found(Reordered, here, "record %d stands behind record %d: records are repeated or not in their order", r.Seq, prior.record.Seq)
	case r.Seq > want:
		if path, line := find(append([]*source{s}, w.left...), want); path != "" {
			found(Reordered, here, "record %d stands here, where record %d belongs, which is at %s:%d", r.Seq, want, path, line)
			return
		}
		missing := fmt.Sprintf("records %d to %d are", want, r.Seq-1)
		if r.Seq == want+1 {
			missing = fmt.Sprintf("record %d is", want)
		}
		found(Missing, here, "%s missing before record %d", missing, r.Seq)
	case r.Prev != prior.hash.String():
		w.blame(s, here, found)
	}
	if w.report.Finding != nil {
		return
	}
	if a, ok := w.anchors[r.Seq]; ok {
		if a.Head != here.hash.String() {
			since := "nothing before it is proved by an anchor of these files"
			if w.report.AnchorAt != 0 {
				since = fmt.Sprintf("record %d is still what was anchored", w.report.AnchorAt)
			}
			found(Rewritten, here, "record %d is not the one that was anchored at %s: the log was rewritten; %s", r.Seq, a.At.UTC().Format(time.RFC3339), since)
			return
		}
		w.report.Anchored++
		w.report.AnchorAt = r.Seq
	}
	if r.Type == TypeGap {
		w.report.Gaps = append(w.report.Gaps, Gap{File: s.path, Line: s.line, Seq: r.Seq, Time: r.Time, Reason: r.Reason, Sink: r.Sink, Lost: r.Lost})
	}
	w.report.Records++
	w.before = here
}

// blame says which of two records that do not fit together was changed: the later one if what follows does not
// believe it either.
func (w *walk) blame(s *source, here place, found func(Kind, place, string, ...any)) {
	prior := w.before
	if a, ok := w.anchors[prior.record.Seq]; !ok || a.Head != prior.hash.String() { // an anchor settles it
		next, ok := w.peek(s)
		if !ok || next.Seq != here.record.Seq+1 || next.Prev == here.hash.String() {
			found(Changed, prior, "record %d was changed: record %d names another hash of it", prior.record.Seq, here.record.Seq)
			return
		}
	}
	found(Changed, here, "record %d was changed: neither does it name the record before it, nor does the one behind it name it", here.record.Seq)
}

// peek reads the line behind the present one.
func (w *walk) peek(s *source) (Record, bool) {
	for _, from := range append([]*source{s}, w.left...) {
		text, whole, err := from.next()
		if errors.Is(err, io.EOF) {
			continue
		}
		if err != nil || !whole {
			return Record{}, false
		}
		r, err := Parse(text)
		return r, err == nil
	}
	return Record{}, false
}
