package api_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"broker/api"
	"broker/api/apitest"
	"broker/api/types"
)

// Whatever the message behind which a client was cut off, it goes on with the very next event.
func TestStreamResumesBehindEveryMessage(t *testing.T) {
	kit := apitest.Start(t, brief)
	url := furnish(t, kit)
	begun := follow(t, url, "")
	for range 3 {
		issue(t, url, `{}`)
	}
	expect(t, 202, url, "POST", "/api/v1/leases/revoke", `{"all":true,"reason":"x"}`)
	seen := begun.events(3*2 + 1 + 3*2 + 1) // prepared and issued; the operation; revoking and revoked; its end
	const before = 6                        // the cluster with its first account's two roles; an environment, a connection, a secret
	all := named(t, follow(t, url, "?after=0").events(before+len(seen)))
	if d := cmp.Diff(all[before:], named(t, seen)); d != "" {
		t.Errorf("a stream from now on (-want +got):\n%s", d)
	}
	parted := 0
	for i, m := range seen[:len(seen)-1] {
		if strings.Contains(m.id, ".") {
			parted++
		}
		for way, s := range map[string]*stream{
			"Last-Event-ID": follow(t, url, "?after=0", "Last-Event-ID", m.id), "after": follow(t, url, "?after="+m.id),
		} {
			if d := cmp.Diff(all[before+i+1:], named(t, s.events(len(seen)-i-1))); d != "" {
				t.Errorf("%s %s (-want +got):\n%s", way, m.id, d)
			}
		}
	}
	if parted == 0 {
		t.Errorf("no entry made several events: %v", all)
	}
}

// Streams that keep up share what is read; each gets all of its own and nothing else, whenever it began.
func TestManyStreams(t *testing.T) {
	kit := apitest.Start(t, brief)
	url := furnish(t, kit)
	type pair struct {
		query  string
		stream *stream
	}
	var streams []pair
	for round := range 4 {
		for _, query := range []string{"", "&type=lease.issued", "&label=round%3D" + fmt.Sprint(round), "&account=admin&type=lease", "&actor=nobody"} {
			from := fmt.Sprintf("?after=%d", kit.Index(t))
			streams = append(streams, pair{from + query, follow(t, url, from+query)})
		}
		for range 5 {
			id := issue(t, url, fmt.Sprintf(`{"labels":{"round":"%d"}}`, round))
			expect(t, 200, url, "POST", "/api/v1/leases/"+id+"/revoke", `{}`)
		}
	}
	for _, one := range streams {
		items, _ := expect(t, 200, url, "GET", "/api/v1/events"+one.query+"&limit=1000", "").at("items").([]any)
		var want []string
		for _, item := range items {
			e := item.(map[string]any)
			want = append(want, fmt.Sprintf("%v.%v %v", e["index"], e["ordinal"], e["type"]))
		}
		if d := cmp.Diff(want, named(t, one.stream.events(len(want)))); d != "" {
			t.Errorf("%s (-want +got):\n%s", one.query, d)
		}
	}
}

// Streams live longer than ordinary requests may, with HTTP/1.1 and, behind TLS, with HTTP/2.
func TestStreamOutlivesTheLimitsOfRequests(t *testing.T) {
	for _, version := range []int{1, 2} {
		kit := apitest.Start(t, func(c *api.Config) { c.Heartbeat, c.RequestTimeout = 500*time.Millisecond, time.Second })
		server := httptest.NewUnstartedServer(nil)
		server.Config = api.HTTPServer(kit.Server, slog.New(slog.DiscardHandler))
		server.Config.ReadTimeout, server.Config.WriteTimeout = time.Second, time.Second // enough for a handshake on a busy machine
		if server.EnableHTTP2 = version == 2; version == 2 {
			server.StartTLS()
		} else {
			server.Start()
		}
		t.Cleanup(server.Close)
		s := followWith(t, server.Client(), server.URL, "")
		for range 4 { // the position, then heartbeats
			if m, ok := s.next(); !ok || m.event != "" {
				t.Fatalf("the stream went on with %q: %v", m, s.lines.Err())
			}
		}
		if s.response.ProtoMajor != version {
			t.Errorf("the stream was of %s", s.response.Proto)
		}
		s.response.Body.Close()
	}
}

// Pages and streams begin at the same places and choose alike.
func TestEventsAreChosenAndBegun(t *testing.T) {
	kit := apitest.Start(t, brief)
	url := furnish(t, kit)
	id := issue(t, url, `{"labels":{"team":"a"}}`)
	issue(t, url, `{}`)
	issued := time.Now().UnixMilli()
	eventually(t, "another millisecond begins", func() bool { return time.Now().UnixMilli() > issued })
	begun := time.Now().UTC().Format(time.RFC3339Nano)
	expect(t, 200, url, "POST", "/api/v1/leases/"+id+"/revoke", `{}`)
	for query, want := range map[string][]string{
		"?type=lease.issued":                     {"lease.issued", "lease.issued"},
		"?type=environment&type=secret.created":  {"environment.created", "secret.created"},
		"?type=environment.*,secret":             {"environment.created", "secret.created"},
		"?lease=" + id:                           {"lease.prepared", "lease.issued", "lease.revoking", "lease.revoked"},
		"?label=team%3Da&type=lease.issued":      {"lease.issued"},
		"?environment=payments/*&type=lease.rev": nil,
		"?connection=orders-db&type=connection":  {"connection.created"},
		"?last=2":                                {"lease.revoking", "lease.revoked"},
		"?last=1&type=lease.issued":              {"lease.issued"},
		"?since=" + begun:                        {"lease.revoking", "lease.revoked"},
		"?actor=nobody":                          nil,
		"?after=999999&lease=x":                  nil,
	} {
		page := expect(t, 200, url, "GET", "/api/v1/events"+query, "")
		var got []string
		items, _ := page.at("items").([]any)
		for _, one := range items {
			got = append(got, fmt.Sprint(one.(map[string]any)["type"]))
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("page %s (-want +got):\n%s\n%s", query, d, page.text)
		}
		if strings.Contains(query, "after") {
			continue
		}
		if !strings.Contains(query, "last") && !strings.Contains(query, "since") {
			query += "&after=0"
		}
		got = nil
		for _, m := range follow(t, url, query).events(len(want)) {
			got = append(got, m.event)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("stream %s (-want +got):\n%s", query, d)
		}
	}
	// Pages that look at few events at a time go on where they stopped.
	cursor, pages := "", 0
	for {
		page := expect(t, 200, url, "GET", "/api/v1/events?limit=1&type=lease&cursor="+cursor, "")
		cursor, _ = page.at("next_cursor").(string)
		if pages++; cursor == "" {
			break
		}
	}
	if pages != 6 {
		t.Errorf("%d pages of one event", pages)
	}
}

func TestStreamRefusals(t *testing.T) {
	kit := apitest.Start(t, func(c *api.Config) { brief(c); c.MaxStreams, c.MaxStreamsEach = 3, 2 })
	url := furnish(t, kit)
	asStream := []string{"Accept", "application/json, text/event-stream;q=0.9"}
	for name, row := range map[string]struct {
		query   string
		headers []string
		status  int
		code    string
	}{
		"no token":           {"", []string{"Authorization", ""}, 401, "unauthenticated"},
		"two beginnings":     {"?after=1&last=3", nil, 422, "invalid_value"},
		"no position":        {"?after=x", nil, 422, "invalid_value"},
		"no id":              {"", []string{"Last-Event-ID", "12.x"}, 422, "invalid_value"},
		"ahead of the log":   {"?after=4711", nil, 422, "invalid_value"},
		"type":               {"?type=Lease", nil, 422, "invalid_value"},
		"secret":             {"?secret=orders-ro", nil, 422, "invalid_value"},
		"unknown parameter":  {"?lable=a", nil, 422, "unknown_parameter"},
		"cursors have pages": {"?cursor=1", nil, 422, "unknown_parameter"},
	} {
		got := ask(t, url, "GET", "/api/v1/events"+row.query, "", append(asStream, row.headers...)...)
		if got.status != row.status || got.code() != row.code || got.header.Get("Content-Type") != types.ProblemContentType {
			t.Errorf("%s: %d %s", name, got.status, got.text)
		}
	}
	one, _ := follow(t, url, ""), follow(t, url, "")
	got := ask(t, url, "GET", "/api/v1/events", "", asStream...)
	if got.status != 429 || got.code() != "too_many_streams" || got.header.Get("Retry-After") == "" {
		t.Errorf("a third stream of one account: %d %s", got.status, got.text)
	}
	other := []string{"Authorization", "Bearer " + person(t, url, "other", "user", "")}
	follow(t, url, "", other...)
	if got = ask(t, url, "GET", "/api/v1/events", "", append(asStream, other...)...); got.status != 429 || got.code() != "too_many_streams" {
		t.Errorf("a fourth stream: %d %s", got.status, got.text)
	}
	one.response.Body.Close()
	eventually(t, "a stream whose client went away is over", func() bool { return kit.Server.Streams() == 2 })
	follow(t, url, "")
}

// A position behind which events are gone is refused; a page says it.
func TestStreamOfPrunedHistory(t *testing.T) {
	kit := apitest.Start(t, brief)
	url := furnish(t, kit)
	kit.Prune(t)
	got := ask(t, url, "GET", "/api/v1/events?after=2", "", "Accept", "text/event-stream")
	oldest, _ := got.at("oldest_index").(float64)
	if got.status != 410 || got.code() != "history_pruned" || oldest < 3 {
		t.Errorf("a stream: %d %s", got.status, got.text)
	}
	follow(t, url, fmt.Sprintf("?after=%d", int(oldest)))
	follow(t, url, "?after=0")
	page := expect(t, 200, url, "GET", "/api/v1/events?after=2", "")
	if warnings, _ := page.at("warnings").([]any); len(warnings) != 1 {
		t.Errorf("a page: %s", page.text)
	}
	if page := expect(t, 200, url, "GET", "/api/v1/events", ""); page.at("warnings") != nil {
		t.Errorf("all there is: %s", page.text)
	}
}

// A stream ends with a word when its node stops, and when its caller's token is good no more.
func TestStreamEnds(t *testing.T) {
	var gone atomic.Bool
	kit := apitest.Start(t, func(c *api.Config) {
		brief(c)
		c.Authenticator = authenticator{c.Authenticator, func() error {
			if gone.Load() {
				return api.ErrUnauthenticated
			}
			return nil
		}}
	})
	s := follow(t, kit.URL, "")
	gone.Store(true)
	if code := s.end(); code != "unauthenticated" {
		t.Errorf("without a token it ends with %s", code)
	}
	gone.Store(false)
	s = follow(t, kit.URL, "")
	kit.Server.EndStreams()
	if code := s.end(); code != "shutting_down" {
		t.Errorf("when the node stops it ends with %s", code)
	}
	if code := follow(t, kit.URL, "").end(); code != "shutting_down" {
		t.Errorf("behind that it ends with %s", code)
	}
	eventually(t, "all streams are over", func() bool { return kit.Server.Streams() == 0 })
}

type authenticator struct {
	api.Authenticator
	check func() error
}

func (a authenticator) Identify(token string, address netip.Addr) (api.Identity, error) {
	who, err := a.Authenticator.Identify(token, address)
	if err == nil {
		err = a.check()
	}
	return who, err
}

// Heartbeats move the position where nothing is chosen, and tell that there is no leader.
func TestHeartbeats(t *testing.T) {
	kit := apitest.Start(t, nil)
	url, cluster := kit.Follower(t, "n2", brief)
	s := follow(t, url, "?type=cluster")
	first, _ := s.next()
	furnish(t, kit)
	index := fmt.Sprint(kit.Index(t))
	if first.id == index {
		t.Fatalf("the stream begins with %q", first)
	}
	for m := first; m.id != index; {
		var ok bool
		if m, ok = s.next(); !ok || m.event != "" {
			t.Fatalf("instead of a heartbeat: %q", m)
		}
	}
	cluster.SetLeader("")
	cluster.SetStaleness(1234 * time.Millisecond)
	for m := (message{}); m.comment != "node n2 knows no leader; what is newer comes late, heard of one 1.234s ago"; {
		var ok bool
		if m, ok = s.next(); !ok || m.id != index {
			t.Fatalf("instead of a heartbeat: %q", m)
		}
	}
}

// A client that takes nothing is cut off.
func TestStalledStream(t *testing.T) {
	kit := apitest.Start(t, func(c *api.Config) { brief(c); c.StreamStall = 50 * time.Millisecond })
	here, there := net.Pipe() // what one end writes waits until the other end reads it
	listener := &onePipe{conns: make(chan net.Conn, 1), done: make(chan struct{})}
	listener.conns <- there
	server := api.HTTPServer(kit.Server, slog.New(slog.DiscardHandler))
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	if _, err := fmt.Fprintf(here, "GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nAccept: text/event-stream\r\n\r\n", apitest.Token); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 1)
	if _, err := here.Read(buffer); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stream is cut off", func() bool { return kit.Server.Streams() == 0 })
}

// onePipe is a listener that accepts what is in its channel.
type onePipe struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *onePipe) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *onePipe) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *onePipe) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
