package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"broker/api/types"
)

const eventsPath = "/api/v1/events"

// EventFilter chooses events; empty fields choose all. An event of a lease is about the lease as it is now, any
// other about what its subject names.
type EventFilter struct {
	Types        []string // "lease.issued", or "lease" for all that begin with "lease."; any of them
	Lease        string   // id
	Actor        string   // the account that caused it
	Environments []string // names or patterns: app/env, app/*, *
	Secret       string   // full name
	Connection   string
	Account      string // who holds the lease, or the account that changed
	Username     string // the login's name
	Labels       map[string]string
}

// EventQuery chooses events and says where in history to begin, by one of After, Since and Last at the most.
type EventQuery struct {
	EventFilter
	After string    // behind a log index ("1200"), or an event ([types.Event.Position]); "0": all that is kept
	Since time.Time // with the first event at or after this time
	Last  int       // with so many of the newest events
}

func (q EventQuery) values() url.Values {
	values := url.Values{}
	for _, one := range q.Types {
		values.Add("type", one)
	}
	LeaseSelector{
		Environments: q.Environments, Secret: q.Secret, Connection: q.Connection, Account: q.Account, Username: q.Username, Labels: q.Labels,
	}.addTo(values)
	setIf(values, "lease", q.Lease)
	setIf(values, "actor", q.Actor)
	setIf(values, "after", q.After)
	if !q.Since.IsZero() {
		values.Set("since", q.Since.UTC().Format(time.RFC3339Nano))
	}
	if q.Last > 0 {
		values.Set("last", strconv.Itoa(q.Last))
	}
	return values
}

// ChangedBy returns an event of the change that gave something its version: versions are indexes of the log, and so are events'.
// It reports false when history does not tell that, or not to the caller.
func (c *Client) ChangedBy(ctx context.Context, version uint64, options ...Option) (types.Event, bool) {
	if version == 0 {
		return types.Event{}, false
	}
	page, err := c.ListEvents(ctx, EventQuery{After: strconv.FormatUint(version-1, 10)}, ListOptions{Limit: 1}, options...)
	if err != nil || len(page.Items) == 0 || page.Items[0].Index != version {
		return types.Event{}, false
	}
	return page.Items[0], true
}

// ListEvents returns a page of history, oldest first, from its beginning unless the query says where. The
// events of one index are never parted, so a page may be longer than the limit.
func (c *Client) ListEvents(ctx context.Context, query EventQuery, list ListOptions, options ...Option) (types.Page[types.Event], error) {
	var out types.Page[types.Event]
	values := query.values()
	for name, value := range list.values() {
		values[name] = value
	}
	err := c.do(ctx, "listing events", &call{method: http.MethodGet, path: eventsPath, query: values, answer: &out}, options...)
	return out, err
}
