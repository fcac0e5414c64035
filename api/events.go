package api

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"broker/access"
	"broker/api/types"
	"broker/fsm"
)

// EventFilter chooses events, by the words that leases are chosen with: an event of a lease is about the lease
// as it is now, any other about what its subject names.
type EventFilter struct {
	Types        []string `query:"type,explode" doc:"lease.issued, or lease for all types that begin with lease.; any of them"`
	Lease        string   `query:"lease" doc:"Id of the lease"`
	Actor        string   `query:"actor" doc:"The account that caused it"`
	Environments []string `query:"environment,explode" doc:"app/env, app/* or *; any of them"`
	Secret       string   `query:"secret" doc:"Full name: app/env/name"`
	Connection   string   `query:"connection"`
	Account      string   `query:"account" doc:"Who holds the lease, or the account that changed"`
	Username     string   `query:"username" doc:"The login's name"`
	Labels       []string `query:"label,explode" doc:"Of the lease, key=value; all of them"`
}

// EventStart says where to begin; at most one of it may be given.
type EventStart struct {
	After string    `query:"after" doc:"Behind the entry of the log with this index (a Broker-Index of an earlier answer), or behind one event of it: index.ordinal"`
	Since time.Time `query:"since" doc:"With the first event at or after this time"`
	Last  int       `query:"last" minimum:"1" maximum:"1000" doc:"With so many of the newest events"`
}

// EventList asks for history.
type EventList struct {
	Read
	EventFilter
	EventStart
	Cursor string `query:"cursor" doc:"next_cursor of the page before; takes the place of after, since and last"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" doc:"About how many events, of those that one may see; those of one index stay together. 100 unless said"`
}

func (EventList) resource() Resource { return Resource{Kind: access.KindEvent} }

// maxScan is how many events are looked at for one page, so that a filter that chooses few holds no reading
// of the state open for long.
const maxScan = 50_000

func (r *routes) events(streams *routes) {
	one := route{id: "event-list", action: "event:list", method: http.MethodGet, path: "/events", summary: "List the history that one may see, oldest first; with Accept: text/event-stream, follow it", chosen: true}
	register(r, one, r.server.listEvents)
	one.id, one.lasts = "event-stream", true
	register(streams, one, r.server.streamEvents)
	r.describeStream(streams)
}

func (s *Server) listEvents(_ context.Context, c *call, in *EventList) (*body[types.Page[types.Event]], error) {
	filter, err := in.filter()
	if err != nil {
		return nil, err
	}
	if in.Cursor != "" {
		if !positionRE.MatchString(in.Cursor) {
			return nil, invalid("cursor", "must be the next_cursor of an earlier answer")
		}
		in.EventStart = EventStart{After: in.Cursor}
	}
	if err := in.EventStart.check(); err != nil {
		return nil, err
	}
	page := fsm.EventPage{Limit: in.Limit, Scan: maxScan, Whole: true}
	if in.Limit == 0 {
		page.Limit = 100
	}
	out := body[types.Page[types.Event]]{types.Page[types.Event]{Items: []types.Event{}}}
	err = s.view(c, func(view View) error {
		page.From = in.EventStart.in(view, filter, s.sightOf(c, view))
		if pruned := view.Meta().PrunedIndex; in.After != "" && in.Cursor == "" && page.From.Index > 1 && page.From.Index <= pruned {
			out.Body.Warnings = []string{fmt.Sprintf("events up to index %d have been pruned in part: some that came after the position are gone", pruned)}
		}
		sight := s.sightOf(c, view)
		if !sight.allEvents() {
			// Where a page ends must not tell where the filter chooses what the caller may not see.
			page.Seen = sight.event
		}
		list, next, end := view.EventsFrom(page, filter)
		for _, one := range list {
			out.Body.Items = append(out.Body.Items, eventOf(one))
		}
		if !end {
			out.Body.NextCursor = positionText(next)
		}
		return sight.err
	})
	return &out, err
}

var eventTypeRE = regexp.MustCompile(`^[a-z_]+(\.[a-z_]+)?$`)

// filter reads the filter. A value that can choose nothing is refused, as in a selector of leases.
func (f *EventFilter) filter() (fsm.EventFilter, error) {
	out := fsm.EventFilter{Lease: fsm.LeaseID(f.Lease), Actor: fsm.AccountName(f.Actor)}
	for _, name := range split(f.Types) {
		if name = strings.TrimSuffix(name, ".*"); !eventTypeRE.MatchString(name) {
			return out, invalid("type", "must be the type of an event such as lease.issued, or a noun such as lease")
		}
		out.Types = append(out.Types, name)
	}
	var err error
	out.About, err = selectorFrom("", types.LeaseSelector{
		Environment: split(f.Environments), Secret: f.Secret, Connection: f.Connection, Account: f.Account, Username: f.Username, Label: f.Labels,
	}, time.Time{})
	out.About.Now = 0
	return out, err
}

// positionRE is what a position looks like: an index of the log, or an event's index and ordinal.
var positionRE = regexp.MustCompile(`^[0-9]{1,19}(\.[0-9]{1,9})?$`)

// check refuses a beginning that is none.
func (b *EventStart) check() error {
	given := []bool{b.After != "", !b.Since.IsZero(), b.Last > 0}
	if i := slices.Index(given, true); i >= 0 && slices.Contains(given[i+1:], true) {
		return problem(codeInvalid, "after, since and last exclude each other: each says where to begin")
	}
	if b.After != "" && !positionRE.MatchString(b.After) {
		return invalid("after", "must be an index of the log, or index.ordinal as an event has them")
	}
	return nil
}

// in finds the beginning, which was checked, in a reading of the state; without one it is that of history.
func (b *EventStart) in(view View, filter fsm.EventFilter, sight *sight) fsm.EventPosition {
	switch {
	case !b.Since.IsZero():
		return view.EventsSince(fsm.At(b.Since))
	case b.Last > 0:
		if sight.allEvents() {
			return view.LastEvents(b.Last, maxScan, filter, nil)
		}
		return view.LastEvents(b.Last, maxScan, filter, sight.event)
	}
	return positionOf(b.After)
}

// positionOf reads a position that positionRE has let through; an empty one is the beginning of history.
func positionOf(text string) fsm.EventPosition {
	index, ordinal, parted := strings.Cut(text, ".")
	i, _ := strconv.ParseUint(index, 10, 64)
	if !parted {
		return fsm.AfterEntry(i)
	}
	o, _ := strconv.ParseUint(ordinal, 10, 32)
	return fsm.EventPosition{Index: i, Ordinal: uint32(o) + 1}
}

// positionText writes a position: what was read before it is what a client names to go on from there.
func positionText(p fsm.EventPosition) string {
	if p.Ordinal == 0 {
		return strconv.FormatUint(max(p.Index, 1)-1, 10)
	}
	return strconv.FormatUint(p.Index, 10) + "." + strconv.FormatUint(uint64(p.Ordinal)-1, 10)
}

func eventOf(event fsm.Event) types.Event {
	return types.Event{
		Index:     event.Index,
		Ordinal:   event.Ordinal,
		At:        event.At.Time(),
		Type:      string(event.Type),
		LeaseID:   string(event.Lease),
		Subject:   event.Subject,
		Actor:     string(event.Actor.Account),
		Token:     string(event.Actor.Token),
		Node:      event.Actor.Node,
		Address:   event.Actor.Address,
		UserAgent: event.Actor.UserAgent,
		Details:   event.Details,
	}
}
