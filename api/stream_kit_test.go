package api_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"broker/api"
	"broker/api/apitest"
	"broker/api/types"
)

// message is one message of a stream.
type message struct{ id, event, data, comment string }

// stream is a stream that a test reads.
type stream struct {
	t        *testing.T
	response *http.Response
	lines    *bufio.Scanner
}

// follow opens a stream with the admin's token; headers are name and value in turn.
func follow(t *testing.T, url, query string, headers ...string) *stream {
	t.Helper()
	return followWith(t, http.DefaultClient, url, query, headers...)
}

func followWith(t *testing.T, client *http.Client, url, query string, headers ...string) *stream {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), "GET", url+"/api/v1/events"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+apitest.Token)
	request.Header.Set("Accept", "text/event-stream")
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	if response.StatusCode != 200 || response.Header.Get("Content-Type") != "text/event-stream" || response.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("status %d with %v", response.StatusCode, response.Header)
	}
	return &stream{t: t, response: response, lines: bufio.NewScanner(response.Body)}
}

// next returns the next message; false: the stream has ended.
func (s *stream) next() (m message, ok bool) {
	for s.lines.Scan() {
		name, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch name {
		case "id":
			m.id = value
		case "event":
			m.event = value
		case "data":
			m.data = value
		case "":
			if value == "" {
				return m, true
			}
			m.comment = value
		}
	}
	return m, false
}

// events returns the next messages that are events.
func (s *stream) events(count int) (list []message) {
	s.t.Helper()
	for len(list) < count {
		m, ok := s.next()
		if !ok {
			s.t.Fatalf("the stream ended after %v: %v", list, s.lines.Err())
		}
		if m.event != "" {
			list = append(list, m)
		}
	}
	return list
}

// end returns the code of the problem that ends the stream.
func (s *stream) end() string {
	s.t.Helper()
	for {
		m, ok := s.next()
		if !ok {
			s.t.Fatal("the stream ended without a word")
		}
		if m.event == types.EventEnd {
			var p types.Problem
			if err := json.Unmarshal([]byte(m.data), &p); err != nil {
				s.t.Fatal(err)
			}
			if _, more := s.next(); more {
				s.t.Error("the stream goes on behind its end")
			}
			return p.Code
		}
	}
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

// brief changes the times of streams to what a test can wait for.
func brief(c *api.Config) { c.Heartbeat = 30 * time.Millisecond }

// named shows events as "index.ordinal type", whatever their ids.
func named(t *testing.T, messages []message) (list []string) {
	t.Helper()
	for _, m := range messages {
		var e types.Event
		if err := json.Unmarshal([]byte(m.data), &e); err != nil {
			t.Fatal(err)
		}
		if e.Type != m.event {
			t.Errorf("an event %s in a message %s", e.Type, m.event)
		}
		list = append(list, e.Position()+" "+e.Type)
	}
	return list
}
