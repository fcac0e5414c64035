package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"time"

	"broker/api/types"
)

// maxMessage bounds a line of a stream, so that a wrong address cannot fill the memory.
const maxMessage = 1 << 20

// errStopped is returned inside this file when the loop over a stream was left.
var errStopped = errors.New("nobody wants more events")

// FollowOptions tell of a stream's fortune. Both may be nil.
type FollowOptions struct {
	Connected func(address string) // a node serves the stream, from now on or again
	Lost      func(err error)      // the stream was cut off; it goes on at whichever node answers first
}

// StreamEvents follows history: it yields each chosen event once, in order, as it happens. Without a
// beginning it begins with what happens from now on. When a node stops, or is not heard of any more, the stream goes
// on at another one, behind the last event, for as long as the context lives; then the loop ends without an
// error. It ends with an error that no node could help: a problem such as unauthenticated or history_pruned, or
// [UnreachableError] when it could not begin within the client's timeout. What is read after an event with
// consistency session sees what the event tells of.
func (c *Client) StreamEvents(ctx context.Context, query EventQuery, options ...FollowOptions) iter.Seq2[types.Event, error] {
	return func(yield func(types.Event, error) bool) {
		s := &stream{client: c, query: query, yield: yield}
		if len(options) > 0 {
			s.told = options[0]
		}
		err := c.redacted(s.follow(ctx))
		if err != nil && ctx.Err() == nil && !errors.Is(err, errStopped) {
			yield(types.Event{}, fmt.Errorf("following events: %w", err))
		}
	}
}

// stream is one call of StreamEvents.
type stream struct {
	client   *Client
	query    EventQuery
	yield    func(types.Event, error) bool
	told     FollowOptions
	position string      // id of the last message; empty: none came yet
	newest   types.Event // the last one yielded
	heard    bool        // of a node, since the last round began
}

// follow goes round the addresses until the context ends or there is a final answer.
func (s *stream) follow(ctx context.Context) error {
	c := s.client
	begun := time.Now()
	for round := 0; ; round++ {
		failures := make([]error, len(c.addresses))
		var last error
		start := int(c.preferred.Load())
		wait := c.pause(round)
		for i := range c.addresses {
			at := (start + i) % len(c.addresses)
			s.heard = false
			result := s.serve(ctx, c.addresses[at])
			if s.heard {
				// It served for a while: what comes now is a new search.
				round, begun, failures, last = 0, time.Now(), make([]error, len(c.addresses)), nil
				wait = c.pause(0)
				if s.told.Lost != nil && result.again && ctx.Err() == nil {
					s.told.Lost(c.redacted(result.err))
				}
			}
			if !result.again || ctx.Err() != nil {
				return result.err
			}
			if failures[at] = result.err; result.answered {
				last = result.err
			}
			c.preferred.CompareAndSwap(int64(at), int64((at+1)%len(c.addresses)))
		}
		if s.position == "" && !s.patient(ctx, time.Since(begun), c.gaveUp(failures, last)) {
			return c.gaveUp(failures, last)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// patient reports whether to go on looking for a node to begin with.
func (s *stream) patient(ctx context.Context, waited time.Duration, unanswered error) bool {
	ask, asked := ctx.Value(waitKey{}).(func(time.Duration, error) bool)
	return waited < s.client.config.Timeout && (!asked || ask(waited, unanswered))
}

// serve reads the stream of one node to its end.
func (s *stream) serve(ctx context.Context, address string) result {
	c := s.client
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(c.config.StreamSilence, func() { cancel(ErrTimeout) })
	defer silence.Stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+eventsPath+"?"+s.query.values().Encode(), nil)
	if err != nil {
		return result{err: fmt.Errorf("building the request: %w", err)}
	}
	request.Header.Set("User-Agent", c.config.UserAgent)
	request.Header.Set("Accept", "text/event-stream")
	if token := c.tokens.get(); token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if s.position != "" {
		request.Header.Set("Last-Event-ID", s.position)
	}
	one := &call{method: http.MethodGet} // safe to repeat
	response, err := c.http.Do(request)
	if err != nil {
		return c.noAnswer(one, cause(ctx, err))
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK || !strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		content, err := io.ReadAll(io.LimitReader(response.Body, maxMessage))
		if err != nil {
			return c.noAnswer(one, fmt.Errorf("reading the answer: %w", cause(ctx, err)))
		}
		return refused(one, address, response, content)
	}
	if s.told.Connected != nil {
		s.told.Connected(address)
	}
	err = s.read(response.Body, func() { silence.Reset(c.config.StreamSilence) })
	var problem *types.Problem
	switch {
	case errors.Is(err, errStopped):
		return result{err: err}
	case errors.As(err, &problem):
		return result{err: err, answered: true, again: goesOnElsewhere(problem.Code)}
	}
	return result{err: fmt.Errorf("reading the stream of %s: %w", address, cause(ctx, err)), again: true}
}

// goesOnElsewhere reports whether another node may serve a stream that was ended with the code.
func goesOnElsewhere(code string) bool {
	switch code {
	case "shutting_down", "internal_error", "timeout", "too_stale", "no_leader", "state_diverged":
		return true
	}
	return false
}

// read yields what arrives. heard is called with every line.
func (s *stream) read(from io.Reader, heard func()) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(make([]byte, 0, 4096), maxMessage)
	var id, event, data string
	for lines.Scan() {
		heard()
		s.heard = true
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case lines.Text() == "":
			if err := s.message(event, data); err != nil {
				return err
			}
			if id != "" {
				s.position = id
			}
			id, event, data = "", "", ""
		case name == "id":
			id = value
		case name == "event":
			event = value
		case name == "data":
			data += value // the broker's are of one line
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}

// message yields an event, unless it came before.
func (s *stream) message(kind, data string) error {
	if data == "" {
		return nil
	}
	if kind == types.EventEnd {
		problem := &types.Problem{}
		if err := json.Unmarshal([]byte(data), problem); err != nil {
			return fmt.Errorf("decoding the end of the stream: %w", err)
		}
		return problem
	}
	var event types.Event
	if err := json.Unmarshal([]byte(data), &event); err != nil {
		return fmt.Errorf("decoding an event: %w", err)
	}
	if n := s.newest; event.Index < n.Index || event.Index == n.Index && n.Type != "" && event.Ordinal <= n.Ordinal {
		return nil
	}
	s.newest = event
	s.client.sawIndex(event.Index)
	if !s.yield(event, nil) {
		return errStopped
	}
	return nil
}

// cause returns why the context ended, when that is why reading failed.
func cause(ctx context.Context, err error) error {
	if why := context.Cause(ctx); why != nil {
		return why
	}
	return err
}
