package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"broker/api/client"
	"broker/api/types"
)

func (c *Console) liveRoutes() { c.mux.Handle("GET /ui/events", http.HandlerFunc(c.events)) }

// heartbeat is how long a stream is silent at the most; stall for how long a browser may take nothing.
const (
	heartbeat = 10 * time.Second
	stall     = 30 * time.Second
)

// news is what a page learns of an event: enough to know what to load again, nothing to read.
type news struct {
	Type  string `json:"type"`
	Lease string `json:"lease,omitempty"`
	Index uint64 `json:"index"`
}

// events follows history for a page. It does not count as use of the session.
func (c *Console) events(w http.ResponseWriter, r *http.Request) {
	token := c.tokenOf(r)
	if token == "" {
		http.Error(w, "Nobody is signed in.", http.StatusUnauthorized)
		return
	}
	c.openings.Add(1)
	defer c.openings.Done()
	p, err := c.newPage(r.Context(), w, r, token, false)
	if err != nil {
		c.answered(w, r, err)
		return
	}
	ctx, cancel := withEnd(r.Context(), c.closing)
	defer cancel()

	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	out := &stream{w: w, control: http.NewResponseController(w)}
	query := client.EventQuery{After: p.query("after")}
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		query.After = last
	}
	type said struct {
		event types.Event
		err   error
		live  string // it goes on ("on"), or not at the moment ("off")
	}
	heard := make(chan said)
	tell := func(one said) {
		select {
		case heard <- one:
		case <-ctx.Done():
		}
	}
	c.openings.Go(func() {
		defer cancel()
		told := client.FollowOptions{
			Connected: func(string) { tell(said{live: "on"}) },
			Lost:      func(error) { tell(said{live: "off"}) },
		}
		for event, err := range p.Client.StreamEvents(ctx, query, told) {
			tell(said{event: event, err: err})
		}
	})
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for ctx.Err() == nil {
		var err error
		select {
		case <-ctx.Done():
		case <-beat.C:
			err = out.message("", "beat", c.leader(r))
		case one := <-heard:
			switch {
			case one.err != nil:
				_ = out.message("", "over", map[string]string{"code": codeOf(one.err)})
				return
			case one.live != "":
				err = out.message("", one.live, c.leader(r))
			default:
				err = out.message(one.event.Position(), "news", news{one.event.Type, one.event.LeaseID, one.event.Index})
			}
		}
		if err != nil {
			return
		}
	}
}

// codeOf is why a stream is over.
func codeOf(err error) string {
	if code := client.Code(err); code != "" {
		return code
	}
	return "unavailable"
}

// leader tells whether the node hears of a leader, as those who balance load are told.
func (c *Console) leader(r *http.Request) map[string]bool {
	asked, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "http://localhost/readyz", nil)
	if err != nil {
		return map[string]bool{"leader": false}
	}
	response, err := inside{api: c.config.API, browser: r}.RoundTrip(asked)
	if err != nil {
		return map[string]bool{"leader": false}
	}
	defer response.Body.Close()
	return map[string]bool{"leader": response.StatusCode == http.StatusOK}
}

// stream writes messages to a browser.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (s *stream) message(id, kind string, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	if err := s.control.SetWriteDeadline(time.Now().Add(stall)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	var out strings.Builder
	if id != "" {
		fmt.Fprintf(&out, "id: %s\n", id)
	}
	fmt.Fprintf(&out, "event: %s\ndata: %s\n\n", kind, text)
	if _, err := s.w.Write([]byte(out.String())); err != nil {
		return err
	}
	return s.control.Flush()
}
