package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"

	"broker/access"
	"broker/api/types"
	"broker/fsm"
)

// EventStream asks to follow history.
type EventStream struct {
	Read
	EventFilter
	EventStart
	LastEventID string `header:"Last-Event-ID" doc:"Id of the last message that arrived: go on behind it, whatever else says where to begin"`
}

func (EventStream) resource() Resource { return Resource{Kind: access.KindEvent} }

const (
	streamContentType = "text/event-stream"
	streamPage        = 256 // events between two looks at the caller's permission
	// streamGrid is the distance of the instants at which streams read on. They are the same for all, so that those
	// which keep up share a reading, and a burst of entries costs one.
	streamGrid = 50 * time.Millisecond
)

// wantsStream reports whether a request wants to follow history instead of a page of it.
func wantsStream(r *http.Request) bool {
	if r.Method != http.MethodGet || r.URL.Path != apiPrefix+"/events" {
		return false
	}
	for _, accept := range r.Header.Values("Accept") {
		for one := range strings.SplitSeq(accept, ",") {
			kind, _, _ := strings.Cut(one, ";")
			if strings.EqualFold(strings.TrimSpace(kind), streamContentType) {
				return true
			}
		}
	}
	return false
}

// streamEvents begins a stream. Without a position it begins with what happens from now on.
func (s *Server) streamEvents(ctx context.Context, c *call, in *EventStream) (*huma.StreamResponse, error) {
	filter, err := in.filter()
	if err != nil {
		return nil, err
	}
	if in.LastEventID != "" {
		if !positionRE.MatchString(in.LastEventID) {
			return nil, invalid("Last-Event-ID", "must be the id of a message of this stream")
		}
		in.EventStart = EventStart{After: in.LastEventID}
	}
	if err := in.EventStart.check(); err != nil {
		return nil, err
	}
	follower := &follower{server: s, call: c, filter: filter}
	var newest uint64
	err = s.view(c, func(view View) error {
		newest, follower.pruned = view.Meta().Index, view.Meta().PrunedIndex
		if in.EventStart == (EventStart{}) {
			follower.at = fsm.AfterEntry(newest)
			return nil
		}
		follower.at = in.EventStart.in(view, filter, s.sightOf(c, view))
		if in.After == "" || in.After == "0" {
			return nil // whatever is kept
		}
		return prunedBehind(follower.at, follower.pruned)
	})
	if err != nil {
		return nil, err
	}
	if follower.at.Index > newest+1 {
		if err := s.checkAhead(ctx, follower.at); err != nil {
			return nil, err
		}
	}
	leave, err := s.streams.enter(c.identity.Account)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(h huma.Context) {
		defer leave()
		r, w := humamux.Unwrap(h)
		follower.token, _ = bearer(r.Header)
		follower.w, follower.control = w, http.NewResponseController(w)
		follower.run(ctx)
	}}, nil
}

// prunedBehind refuses a position behind which events are gone.
func prunedBehind(at fsm.EventPosition, pruned uint64) error {
	if at.Index > pruned {
		return nil
	}
	p := problem(codePruned, fmt.Sprintf("events behind this position have been pruned: history is complete behind index %d", pruned))
	p.Hint = "read again what is followed, then go on from the Broker-Index of that answer; or after=0 for all that is kept"
	with(p, "oldest_index", pruned)
	return p
}

// checkAhead refuses a position that this cluster's log has not reached. A node that is merely behind waits
// until it gets there; without a leader it cannot tell.
func (s *Server) checkAhead(ctx context.Context, at fsm.EventPosition) error {
	ctx, cancel := context.WithTimeout(ctx, min(2*time.Second, s.config.LeaderTimeout))
	defer cancel()
	if newest, err := s.config.Cluster.ReadIndex(ctx); err == nil && at.Index > newest+1 {
		return invalid("after", fmt.Sprintf("is ahead of the log, which ends at index %d: the position is another cluster's, or from before a restore", newest))
	}
	return nil
}

// follower is one stream of events. It holds one page at a time and reads the next one when the client has
// taken that, so a slow client costs a connection and no memory.
type follower struct {
	server  *Server
	call    *call
	token   string
	filter  fsm.EventFilter
	at      fsm.EventPosition // the next event that is to be looked at
	pruned  uint64            // how far history was pruned when the stream began
	keepsUp bool              // it has read all that this node had
	has     uint64            // the state holds all entries up to here, those that are no commands too
	w       http.ResponseWriter
	control *http.ResponseController
	out     bytes.Buffer
	spoke   time.Time // when the client was last written to
}

// run follows history until the client or the node goes, or the caller may not see it any more.
func (f *follower) run(client context.Context) {
	ctx, release := f.server.streams.within(client)
	defer release()
	// The limits of ordinary requests are set anew with every write, and reading only tells that the client
	// is gone. A writer without deadlines, as in tests, has none to lift.
	_ = f.control.SetReadDeadline(time.Time{})
	header := f.w.Header()
	header.Set("Content-Type", streamContentType)
	header.Set("X-Accel-Buffering", "no") // for proxies that gather answers
	f.w.WriteHeader(http.StatusOK)
	// The position comes first: who is cut off before the first event still misses none.
	fmt.Fprintf(&f.out, "retry: 1000\nid: %s\n\n", positionText(f.at))
	for f.send(client) && client.Err() == nil {
		end, err := f.read(ctx)
		if err != nil {
			f.end(client, err)
			return
		}
		if f.out.Len() == 0 && time.Since(f.spoke) >= f.server.config.Heartbeat {
			f.heartbeat()
		}
		if f.out.Len() == 0 && end {
			f.wait(ctx)
		}
	}
}

// read writes a page out for sending, if the caller may still see it. End says that this node has no more.
func (f *follower) read(ctx context.Context) (end bool, err error) {
	s := f.server
	if s.streams.ending() {
		return false, problem(codeShuttingDown, "this node is stopping: go on at another one")
	}
	if err := s.sound(); err != nil {
		return false, err
	}
	who, err := s.config.Authenticator.Identify(f.token, f.call.client)
	if err == nil {
		f.call.identity = who
	}
	if err != nil {
		return false, err
	}
	page, err := f.page()
	if err == nil && page.pruned > f.pruned {
		err = prunedBehind(f.at, page.pruned)
	}
	if err != nil {
		return false, err
	}
	for _, message := range page.messages {
		f.out.Write(message)
	}
	if f.at = page.next; page.end && f.at.Index <= f.has {
		f.at = fsm.AfterEntry(f.has) // what was waited for is no command
	}
	f.keepsUp = page.end
	return page.end, nil
}

// page reads on: where all streams are that have kept up, or where this one is. Whoever does not see all of history
// gets what he sees of it.
func (f *follower) page() (page tailPage, err error) {
	state := f.server.config.State
	sight := f.server.sightOf(f.call, nil)
	if !sight.allEvents() {
		err = state.View(func(view View) error {
			sight.view, page.pruned = view, view.Meta().PrunedIndex
			page.events, page.next, page.end = view.EventsFrom(fsm.EventPage{From: f.at, Limit: streamPage, Scan: maxScan, Seen: sight.event}, f.filter)
			return sight.err
		})
		if err == nil {
			page.messages, err = messages(page.events, page.next)
		}
		return page, err
	}
	if f.keepsUp {
		if page, err = f.server.tail.behind(f.at); err != nil {
			return page, err
		}
		choose := func(chosen func(*fsm.Event) bool) {
			all := page.messages
			page.messages = nil
			for i := range page.events {
				if chosen(&page.events[i]) {
					page.messages = append(page.messages, all[i])
				}
			}
		}
		if f.filter.Plain() || len(page.events) == 0 {
			choose(f.filter.Chosen)
			return page, nil
		}
		// A later reading than that of the page: every lease of it is there.
		return page, state.View(func(view View) error {
			choose(view.ChosenEvents(f.filter))
			return nil
		})
	}
	err = state.View(func(view View) error {
		page.pruned = view.Meta().PrunedIndex
		page.events, page.next, page.end = view.EventsFrom(fsm.EventPage{From: f.at, Limit: streamPage, Scan: maxScan}, f.filter)
		return nil
	})
	if err == nil {
		page.messages, err = messages(page.events, page.next)
	}
	return page, err
}

// heartbeat shows that the stream lives, and how far it has come where nothing was chosen.
func (f *follower) heartbeat() {
	cluster := f.server.config.Cluster
	fmt.Fprintf(&f.out, ": node %s", cluster.NodeID())
	if _, _, ok := cluster.Leader(); !ok {
		fmt.Fprint(&f.out, " knows no leader; what is newer comes late")
		if age := cluster.Staleness(); age != NeverHeard {
			fmt.Fprintf(&f.out, ", heard of one %s ago", age.Round(time.Millisecond))
		}
	}
	fmt.Fprintf(&f.out, "\nid: %s\n\n", positionText(f.at))
}

// end tells why the node ends the stream.
func (f *follower) end(ctx context.Context, err error) {
	s := f.server
	p, internal := problemOf(err, s.config.Now())
	if internal {
		s.log.ErrorContext(ctx, "an event stream failed", "error", err)
	}
	p.Instance, f.call.code = f.call.instance(), p.Code
	data, err := json.Marshal(p)
	if err != nil {
		panic(err) // extra members are strings and numbers
	}
	fmt.Fprintf(&f.out, "event: %s\ndata: %s\n\n", types.EventEnd, data)
	f.send(ctx)
}

// send writes out what was gathered, and reports whether the client takes it.
func (f *follower) send(ctx context.Context) bool {
	if f.out.Len() == 0 {
		return true
	}
	_ = f.control.SetWriteDeadline(time.Now().Add(f.server.config.StreamStall))
	_, err := f.out.WriteTo(f.w)
	if err == nil {
		err = f.control.Flush()
	}
	f.spoke = time.Now()
	if f.out.Reset(); f.out.Cap() > 64<<10 {
		f.out = bytes.Buffer{} // most streams are silent most of the time
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		f.call.code = codeTooSlow
		f.server.log.WarnContext(ctx, "the client of an event stream takes nothing and is cut off; it can go on from its last id", "address", f.call.address, "after", f.server.config.StreamStall)
	}
	return err == nil
}

// wait returns when this node has applied something new, or it is time for a heartbeat.
func (f *follower) wait(ctx context.Context) {
	ctx, cancel := context.WithDeadline(ctx, f.spoke.Add(f.server.config.Heartbeat))
	defer cancel()
	if f.server.config.Cluster.WaitApplied(ctx, f.at.Index) == nil {
		f.has = f.at.Index
		pause(ctx, time.Until(time.Now().Truncate(streamGrid).Add(streamGrid)))
	}
}
