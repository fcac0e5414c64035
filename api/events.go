package api

import (
	"context"
	"net/http"
	"strconv"

	"broker/api/types"
	"broker/fsm"
)

// EventList asks for history.
type EventList struct {
	Read
	After  uint64 `query:"after" doc:"Index of the log after which to begin; Broker-Index of an earlier answer or next_cursor"`
	Cursor string `query:"cursor" doc:"next_cursor of the page before; takes the place of after"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" doc:"About how many events; those of one index stay together. 100 unless said"`
}

func (EventList) resource() Resource { return Resource{Kind: "event"} }

func (r *routes) events() {
	register(r, route{id: "event-list", action: "event:list", method: http.MethodGet, path: "/events", summary: "List history, oldest first"}, r.server.listEvents)
}

func (s *Server) listEvents(_ context.Context, c *call, in *EventList) (*body[types.Page[types.Event]], error) {
	after, limit := in.After, in.Limit
	if in.Cursor != "" {
		index, err := strconv.ParseUint(in.Cursor, 10, 64)
		if err != nil {
			return nil, invalid("cursor", "must be the next_cursor of an earlier answer")
		}
		after = index
	}
	if limit == 0 {
		limit = 100
	}
	out := body[types.Page[types.Event]]{types.Page[types.Event]{Items: []types.Event{}}}
	err := s.view(c, func(view View) error {
		list := view.Events(after, limit)
		for _, one := range list {
			out.Body.Items = append(out.Body.Items, eventOf(one))
		}
		if len(list) >= limit {
			out.Body.NextCursor = strconv.FormatUint(list[len(list)-1].Index, 10)
		}
		return nil
	})
	return &out, err
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
