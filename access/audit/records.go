package audit

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"broker/access"
	"broker/access/audit/chain"
)

// Bounds of one query.
const (
	maxLooked = 8 << 20 // bytes that are looked through for records
	maxAhead  = 2 << 20 // bytes behind them that are looked through for the outcomes of the first ones
	maxFound  = 4 << 20 // bytes of records that are returned
	maxReads  = 2       // queries at a time; more wait
)

// disorder is how far times of neighbours may be out of order.
const disorder = 5 * time.Second

// Records implements [access.AuditLog]. It reads the files, those that were put aside included, from their end
// backwards. A request and its outcome are one record, unless more than 2 MiB lie between them and a page ends there: its result is unknown then.
func (l *Log) Records(ctx context.Context, q access.AuditQuery) (access.AuditPage, error) {
	select {
	case l.reading <- struct{}{}:
		defer func() { <-l.reading }()
	case <-ctx.Done():
		return access.AuditPage{}, ctx.Err()
	}
	s, err := openShelf(l.config.Path)
	if err != nil {
		return access.AuditPage{}, fmt.Errorf("reading the audit log: %w", err)
	}
	defer s.close()
	page, err := find(ctx, s, q)
	if err != nil {
		return access.AuditPage{}, fmt.Errorf("reading the audit log: %w", err)
	}
	return page, nil
}

// find looks through the files for a page.
func find(ctx context.Context, s *shelf, q access.AuditQuery) (page access.AuditPage, err error) {
	past := func(r *chain.Record) bool { // it comes too late for the page
		return q.Before.Seq > 0 && r.Seq >= q.Before.Seq || !q.Until.IsZero() && r.Time.After(q.Until)
	}
	back, there, err := s.from(q.Before, q.Until, past)
	if err != nil || !there {
		return page, err
	}
	outcomes := map[string][]byte{} // whose requests have not come yet, by request and stage
	all := back.newest              // no outcome of what comes now was passed over
	var size int
	var last, kept access.AuditPlace
	for back.looked < maxLooked+maxAhead {
		line, err := back.next()
		if line == nil || err != nil {
			return page, err
		}
		if err := ctx.Err(); err != nil {
			return page, err
		}
		e, ok := parse(line)
		switch {
		case !ok:
			page.Unreadable++
			continue
		case !q.Since.IsZero() && e.Time.Before(q.Since.Add(-disorder)):
			return page, nil
		case e.isAnswer():
			outcomes[e.key()] = bytes.Clone(line)
			continue
		case e.Type == chain.TypeStart:
			all = true // what was asked before the program began is answered before, or never
		}
		outcome := outcomes[e.key()]
		delete(outcomes, e.key())
		if past(&e.Record) {
			continue
		}
		e.answer(outcome, all)
		last, page.Back = access.AuditPlace{Chain: e.Chain, Seq: e.Seq}, e.Time
		if !e.chosen(&q) {
			continue
		}
		result := e.result()
		if q.Result != "" && result != q.Result {
			page.Unsure = page.Unsure || result == access.AuditUnknown
			continue
		}
		if len(page.Records) == q.Limit || size > maxFound {
			page.Next = kept
			return page, nil
		}
		size += len(line) + len(outcome)
		kept = last
		page.Records = append(page.Records, access.AuditRecord{Line: bytes.Clone(line), Outcome: outcome, Result: result, Resource: e.about()})
	}
	page.Next, page.Stopped = last, true // no place to go on from where there was no record in all of it
	return page, nil
}
