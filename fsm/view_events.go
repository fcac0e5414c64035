package fsm

import (
	"bytes"
	"reflect"
	"slices"
	"sort"
	"strings"
)

// EventPosition is a place in history: the first event that is wanted has this index and ordinal, or
// comes later.
type EventPosition struct {
	Index   uint64
	Ordinal uint32
}

// AfterEntry is the position behind every event of the entry at an index.
func AfterEntry(index uint64) EventPosition { return EventPosition{Index: index + 1} }

// Before reports whether a position comes before another.
func (p EventPosition) Before(other EventPosition) bool {
	return p.Index < other.Index || p.Index == other.Index && p.Ordinal < other.Ordinal
}

// After is the position behind an event.
func (e Event) After() EventPosition { return EventPosition{Index: e.Index, Ordinal: e.Ordinal + 1} }

// EventFilter chooses events. Empty fields choose all; all given ones must hold.
type EventFilter struct {
	Types []string // any of them: "lease.issued", or "lease" for all that begin with "lease."
	Lease LeaseID
	Actor AccountName // who caused it

	// About chooses by what the event is about: by the lease as it is now, or else by the environment,
	// secret, connection, account or login that the event names. Its states and times are for leases only.
	About LeaseSelector
}

// EventPage says which part of history is wanted.
type EventPage struct {
	From  EventPosition
	Limit int               // how many events; at least one
	Scan  int               // how many events are looked at, wanted or not; zero: as many as it takes
	Seen  func(*Event) bool // what whoever asks may see: nothing else counts; nil: everything
	Whole bool              // the events of one entry are never parted: the page may be longer for that
}

// EventsFrom returns the events of a page in log order, and where the next page begins. There is none
// yet when end is true: next is then behind everything that this reading of the state holds.
func (v *View) EventsFrom(page EventPage, filter EventFilter) (list []Event, next EventPosition, end bool) {
	wanted := v.ChosenEvents(filter)
	next, end = page.From, true
	looked, index := 0, uint64(0)
	v.walkEvents(page.From, filter.Lease, func(e Event) bool {
		full := len(list) >= page.Limit || page.Scan > 0 && looked >= page.Scan
		if full && !(page.Whole && e.Index == index) {
			end = false
			return false
		}
		looked, index, next = looked+1, e.Index, e.After()
		if wanted(&e) && (page.Seen == nil || page.Seen(&e)) {
			list = append(list, e)
		}
		return true
	})
	if all := AfterEntry(v.Meta().Index); end && all.Index > next.Index {
		next = all
	}
	return list, next, end
}

// LastEvents returns the position from which the last count chosen events follow. It looks at no more
// than scan events, so that fewer may follow. Of those that are not seen it takes no notice; nil: all are.
func (v *View) LastEvents(count, scan int, filter EventFilter, seen func(*Event) bool) EventPosition {
	wanted := v.ChosenEvents(filter)
	from := AfterEntry(v.Meta().Index)
	bucket, prefix := bucketOfEvents(filter.Lease)
	c := v.tx.Bucket([]byte(bucket)).Cursor()
	for k := seekBefore(c, prefix, nil); k != nil && bytes.HasPrefix(k, prefix) && count > 0 && scan > 0; k, _ = c.Prev() {
		scan--
		if e, ok := events.get(v.tx, k[len(prefix):]); ok && wanted(&e) && (seen == nil || seen(&e)) {
			from = EventPosition{Index: e.Index, Ordinal: e.Ordinal}
			count--
		}
	}
	return from
}

// EventsSince returns the position of the first event at or after an instant. Where the clock was set
// back, some events before that position may bear a later time.
func (v *View) EventsSince(at Instant) EventPosition {
	first, end := uint64(0), v.Meta().Index+1
	v.walkEvents(EventPosition{}, "", func(e Event) bool {
		first = e.Index
		return false
	})
	later := sort.Search(int(end-min(first, end)), func(i int) bool {
		is := true
		v.walkEvents(EventPosition{Index: first + uint64(i)}, "", func(e Event) bool {
			is = e.At >= at
			return false
		})
		return is
	})
	return EventPosition{Index: first + uint64(later)}
}

// walkEvents visits events from a position on, of one lease when it is named.
func (v *View) walkEvents(from EventPosition, lease LeaseID, visit func(Event) bool) {
	bucket, prefix := bucketOfEvents(lease)
	c := v.tx.Bucket([]byte(bucket)).Cursor()
	start := append(bytes.Clone(prefix), eventKey(from.Index, from.Ordinal)...)
	for k, _ := c.Seek(start); bytes.HasPrefix(k, prefix) && k != nil; k, _ = c.Next() {
		if e, ok := events.get(v.tx, k[len(prefix):]); ok && !visit(e) {
			return
		}
	}
}

// bucketOfEvents returns where keys of events are found, and what stands before them there.
func bucketOfEvents(lease LeaseID) (bucket string, prefix []byte) {
	if lease == "" {
		return events.bucket, nil
	}
	return bucketEventsByLease, rowKey([]byte(lease), nil)
}

// Plain reports whether the filter looks at events alone: then Chosen judges all of it.
func (f EventFilter) Plain() bool {
	f.About.Now = 0
	return reflect.ValueOf(f.About).IsZero()
}

// Chosen judges an event by everything but what it is about.
func (f EventFilter) Chosen(e *Event) bool {
	return (len(f.Types) == 0 || slices.ContainsFunc(f.Types, e.Type.is)) && (f.Lease == "" || f.Lease == e.Lease) && (f.Actor == "" || f.Actor == e.Actor.Account)
}

// ChosenEvents returns what judges events, of this reading of the state, by the whole filter. It is made for one walk.
func (v *View) ChosenEvents(f EventFilter) func(*Event) bool {
	if f.Plain() {
		return f.Chosen
	}
	chosen := v.chosen(&f.About)
	return func(e *Event) bool {
		if !f.Chosen(e) {
			return false
		}
		subject := e.about()
		if e.Lease != "" {
			lease, ok := v.Lease(e.Lease)
			if !ok {
				return false
			}
			subject = lease
		}
		return chosen(&subject)
	}
}

// is reports whether the type is the named one, or one of the named noun.
func (t EventType) is(name string) bool {
	return string(t) == name || strings.HasPrefix(string(t), name+".")
}

// about returns what an event of no lease is about, in the shape of a lease: one matcher judges both.
func (e *Event) about() Lease {
	noun, _, _ := strings.Cut(string(e.Type), ".")
	switch noun {
	case "environment":
		return Lease{Secret: NewSecretName(EnvironmentName(e.Subject), "")}
	case "secret":
		return Lease{Secret: SecretName(e.Subject)}
	case "connection":
		return Lease{Connection: ConnectionName(e.Subject)}
	case "account":
		return Lease{Account: AccountName(e.Subject)}
	case "token", "client_secret":
		return Lease{Account: AccountName(e.Details["account"])}
	case "orphan":
		return Lease{Connection: ConnectionName(e.Details["connection"]), Username: e.Subject}
	}
	return Lease{}
}

// dropEvent deletes an event. History is complete only behind the newest one that was deleted.
func (t *txn) dropEvent(e Event) {
	events.delete(t, eventKey(e.Index, e.Ordinal))
	t.meta.PrunedIndex = max(t.meta.PrunedIndex, e.Index)
}
