package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"broker/api/apitest"
	"broker/api/client"
	"broker/api/types"
)

// streaming returns a reply that is a stream of the messages, which ends without a word.
func streaming(messages ...string) reply {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, strings.Join(messages, ""))
	}
}

// told is the message of an event of a type.
func told(id, kind string, index, ordinal int) string {
	return fmt.Sprintf(": a comment\nid: %s\nevent: %s\ndata: {\"index\":%d,\"ordinal\":%d,\"type\":%q}\n\n", id, kind, index, ordinal, kind)
}

func ended(code string) string { return fmt.Sprintf("event: end\ndata: {\"code\":%q}\n\n", code) }

// all reads a stream to its end; of events it returns the positions.
func all(ctx context.Context, c *client.Client, query client.EventQuery, enough int) (list []string, err error) {
	for event, err := range c.StreamEvents(ctx, query) {
		if err != nil {
			return list, err
		}
		if list = append(list, event.Position()); len(list) == enough {
			return list, nil
		}
	}
	return list, nil
}

// A stream goes on behind the last message, wherever it was cut off, and nothing comes twice.
func TestStreamGoesOn(t *testing.T) {
	n := start(t,
		streaming("retry: 1000\nid: 4\n\n", told("5.0", "a.b", 5, 0)),
		refuse(503, "no_leader"),
		streaming(told("5.0", "a.b", 5, 0), told("5", "a.c", 5, 1), "id: 9\n\n", ended("shutting_down")),
		refuse(429, "too_many_streams"),
		streaming(told("12", "a.b", 12, 0), "id: 13\nevent: a.b\ndata: {\"ind"),
		streaming(told("13", "a.b", 13, 0)),
	)
	c := connect(t, 5*time.Second, n.URL)
	got, err := all(t.Context(), c, client.EventQuery{Last: 3, EventFilter: client.EventFilter{Types: []string{"a"}}}, 4)
	if d := cmp.Diff([]string{"5.0", "5.1", "12.0", "13.0"}, got); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	seen, _ := n.requests()
	var from []string
	for _, r := range seen {
		from = append(from, r.Header.Get("Last-Event-ID"))
		if r.URL.RawQuery != "last=3&type=a" || r.Header.Get("Accept") != "text/event-stream" {
			t.Errorf("asked for %s with %v", r.URL, r.Header)
		}
	}
	if d := cmp.Diff([]string{"", "5.0", "5.0", "9", "9", "12"}, from); d != "" {
		t.Errorf("it went on from (-want +got):\n%s", d)
	}
	if c.Index() != 13 {
		t.Errorf("session reads begin at %d", c.Index())
	}
}

func TestStreamEnds(t *testing.T) {
	for name, row := range map[string]struct {
		script []reply
		code   string
	}{
		"refused":                  {[]reply{refuse(401, "unauthenticated")}, "unauthenticated"},
		"gone":                     {[]reply{refuse(410, "history_pruned")}, "history_pruned"},
		"refused later":            {[]reply{streaming("id: 4\n\n", ended("forbidden"))}, "forbidden"},
		"gone when it would go on": {[]reply{streaming("id: 4\n\n"), refuse(410, "history_pruned")}, "history_pruned"},
		"not a broker":             {[]reply{succeed}, "not_a_broker"},
	} {
		n := start(t, row.script...)
		got, err := all(t.Context(), connect(t, 5*time.Second, n.URL), client.EventQuery{}, 0)
		if client.Code(err) != row.code || len(got) > 0 {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	dead := deadAddress(t)
	var unreachable *client.UnreachableError
	if _, err := all(t.Context(), connect(t, 50*time.Millisecond, dead), client.EventQuery{}, 0); !errors.As(err, &unreachable) {
		t.Errorf("nobody there: %v", err)
	}
	// It ends with its context, in silence.
	n := start(t, func(w http.ResponseWriter, r *http.Request) {
		streaming("id: 4\n\n", told("5", "a.b", 5, 0))(w, r)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	count := 0
	for _, err := range connect(t, 5*time.Second, n.URL).StreamEvents(ctx, client.EventQuery{}) {
		if err != nil {
			t.Errorf("at the end of the context: %v", err)
		}
		count++
		cancel()
	}
	if count != 1 {
		t.Errorf("%d events", count)
	}
}

// A node that says nothing any more is given up.
func TestSilentStreamIsGivenUp(t *testing.T) {
	silent := start(t, func(w http.ResponseWriter, r *http.Request) {
		streaming("id: 4\n\n")(w, r)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	other := start(t, streaming(told("5", "a.b", 5, 0)))
	c, err := client.New(client.Config{Addresses: []string{silent.URL, other.URL}, Token: token, RetryPause: time.Millisecond, StreamSilence: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	var fortune []string
	for range c.StreamEvents(t.Context(), client.EventQuery{}, client.FollowOptions{
		Connected: func(address string) { fortune = append(fortune, address) },
		Lost:      func(err error) { fortune = append(fortune, fmt.Sprint(errors.Is(err, client.ErrTimeout))) },
	}) {
		break
	}
	if d := cmp.Diff([]string{silent.URL, "true", other.URL}, fortune); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// Against the real API, through two nodes of which one stops.
func TestStreamFromTheBroker(t *testing.T) {
	kit := apitest.Start(t, nil)
	other, _ := kit.Follower(t, "n2", nil)
	c, err := client.New(client.Config{Addresses: []string{kit.URL, other}, Token: apitest.Token, RetryPause: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	var got []string
	connected := make(chan string, 8)
	make1 := func(name string) {
		if _, err := c.CreateEnvironment(t.Context(), types.EnvironmentSpec{Name: name}); err != nil {
			t.Error(err)
		}
	}
	go func() {
		<-connected
		make1("a/one")
		kit.Server.EndStreams()
		<-connected
		make1("a/two")
	}()
	for event, err := range c.StreamEvents(t.Context(), client.EventQuery{EventFilter: client.EventFilter{Environments: []string{"a/*"}}}, client.FollowOptions{
		Connected: func(address string) { connected <- address },
	}) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, event.Subject); len(got) == 2 {
			break
		}
	}
	if !slices.Equal(got, []string{"a/one", "a/two"}) {
		t.Errorf("got %v", got)
	}
}
