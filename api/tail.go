package api

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"broker/fsm"
)

// tail is the newest end of history, read and written out once for all streams that have kept up. Under load that is
// most of what streams cost, besides the committing of what was applied, which a reading of the state means.
type tail struct {
	state State

	mu    sync.Mutex
	pages []tailPage // of the last readings, the newest last
}

// tailPages is how many readings are kept: streams that are a little behind find theirs.
const tailPages = 8

// tailPage is what one reading brought.
type tailPage struct {
	from, next fsm.EventPosition
	end        bool // there was no more
	pruned     uint64
	events     []fsm.Event
	messages   [][]byte // of the events
}

// behind returns the events from a position on. What was read for one stream serves all that are in the
// midst of it, and brings them to the same place, so that they share the next reading.
func (t *tail) behind(at fsm.EventPosition) (tailPage, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, page := range slices.Backward(t.pages) {
		if at.Before(page.from) || !at.Before(page.next) {
			continue
		}
		first := slices.IndexFunc(page.events, func(e fsm.Event) bool { return !fsm.EventPosition{Index: e.Index, Ordinal: e.Ordinal}.Before(at) })
		if first < 0 {
			first = len(page.events)
		}
		page.events, page.messages = page.events[first:], page.messages[first:]
		return page, nil
	}
	page := tailPage{from: at}
	err := t.state.View(func(view View) error {
		page.pruned = view.Meta().PrunedIndex
		page.events, page.next, page.end = view.EventsFrom(fsm.EventPage{From: at, Limit: streamPage}, fsm.EventFilter{})
		return nil
	})
	if err != nil {
		return page, err
	}
	if page.messages, err = messages(page.events, page.next); err != nil {
		return page, err
	}
	if page.from.Before(page.next) {
		if len(t.pages) == tailPages {
			t.pages = slices.Delete(t.pages, 0, 1)
		}
		t.pages = append(t.pages, page)
	}
	return page, nil
}

// messages writes events out; next is the position behind them. The id of a message is the log's index or, where more of
// the same entry follows, index.ordinal.
func messages(events []fsm.Event, next fsm.EventPosition) ([][]byte, error) {
	list := make([][]byte, 0, len(events))
	for i, event := range events {
		following := next.Index
		if i+1 < len(events) {
			following = events[i+1].Index
		}
		behind := fsm.AfterEntry(event.Index)
		if following == event.Index {
			behind = event.After()
		}
		data, err := json.Marshal(eventOf(event))
		if err != nil {
			return nil, fmt.Errorf("encoding an event: %w", err)
		}
		list = append(list, fmt.Appendf(nil, "id: %s\nevent: %s\ndata: %s\n\n", positionText(behind), event.Type, data))
	}
	return list, nil
}
