package api_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"broker/api"
	"broker/api/apitest"
	"broker/api/front"
)

// wire is a node's API at a TCP address, as a node serves it, with whatever limits a test wants.
type wire struct {
	address string
	server  *http.Server
	front   *front.Listener
	closed  chan struct{} // one for each connection that ended
}

// serveWire serves a handler. change may be nil.
func serveWire(t *testing.T, handler http.Handler, config *tls.Config, change func(*http.Server)) *wire {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{address: inner.Addr().String(), front: front.Listen(inner, front.ListenerConfig{}), closed: make(chan struct{}, 100)}
	w.server = api.HTTPServer(handler, slog.New(slog.DiscardHandler))
	w.server.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			w.closed <- struct{}{}
		}
	}
	if change != nil {
		change(w.server)
	}
	var listener net.Listener = w.front
	if config != nil {
		listener = tls.NewListener(listener, config)
	}
	done := make(chan error)
	go func() { done <- w.server.Serve(listener) }()
	t.Cleanup(func() {
		_ = w.server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return w
}

func (w *wire) dial(t *testing.T) net.Conn {
	t.Helper()
	// A small window, so that a client which does not read is noticed.
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
	}}
	c, err := dialer.DialContext(t.Context(), "tcp", w.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return c
}

// say sends text as it is and returns the answers until the connection is closed.
func (w *wire) say(t *testing.T, text string) (answers []*http.Response, bodies []string) {
	t.Helper()
	c := w.dial(t)
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	for {
		answer, err := http.ReadResponse(r, nil)
		if err != nil {
			return answers, bodies
		}
		body, _ := io.ReadAll(answer.Body) // who sends on after an answer may not see all of it
		answers, bodies = append(answers, answer), append(bodies, string(body))
	}
}

const authorized = "Authorization: Bearer " + apitest.Token + "\r\n"

// head is a request's head in which lines stand for themselves.
func head(first string, lines ...string) string {
	return first + " HTTP/1.1\r\nHost: localhost\r\n" + authorized + strings.Join(lines, "") + "\r\n"
}

func TestBoundsOfHeads(t *testing.T) {
	w := serveWire(t, apitest.Start(t, nil).Server, nil, nil)
	for _, row := range []struct {
		name, text string
		status     int
		code       string // empty: net/http answers by itself
	}{
		{"as it should be", head("GET /api/v1/leases"), 200, ""},
		{"a hundred fields", head("GET /api/v1/leases", strings.Repeat("X: y\r\n", 99)), 200, ""},
		{"a field more", head("GET /api/v1/leases", strings.Repeat("X: y\r\n", 100)), 431, "headers_too_large"},
		{"a long field", head("GET /api/v1/leases", "X: "+strings.Repeat("y", 33<<10)+"\r\n"), 431, "headers_too_large"},
		{"an endless field", head("GET /api/v1/leases", "X: "+strings.Repeat("y", 64<<10)+"\r\n"), 431, ""},
		{"a long URL", head("GET /api/v1/leases?environment=" + strings.Repeat("y", 8<<10)), 414, "url_too_long"},
		{"a long path", head("GET /" + strings.Repeat("y", 8<<10)), 414, "url_too_long"},
		{"no path", head("OPTIONS *"), 400, "malformed_request"},
		{"a tunnel", head("CONNECT other.example:443"), 400, "malformed_request"},
		{"a method of its own", head("STEAL /api/v1/leases"), 405, "method_not_allowed"},
		{"no host", "GET /healthz HTTP/1.1\r\n\r\n", 400, ""},
		{"two hosts", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400, ""},
		{"no HTTP", "\x16\x03\x01\x02\x00\x01", 400, ""},
		{"a proxy's header", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + head("GET /healthz"), 400, ""},
		{"a field without a name", head("GET /healthz", ": x\r\n"), 400, ""},
		{"a folded field", head("GET /healthz", "X: a\r\n b\r\n"), 200, ""}, // a blank, as it always was
		{"a zero byte", head("GET /healthz", "X: a\x00b\r\n"), 400, ""},
		{"a blank before the colon", head("GET /healthz", "X : a\r\n"), 400, ""},
		{"a line feed in the path", head("GET /api/v1/leases/a\nb"), 400, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			answers, bodies := w.say(t, row.text)
			if len(answers) != 1 || answers[0].StatusCode != row.status {
				t.Fatalf("answers are %v %q, want one of %d", answers, bodies, row.status)
			}
			if row.code != "" && !strings.Contains(bodies[0], `"code":"`+row.code+`"`) {
				t.Errorf("the answer is no %s: %s", row.code, bodies[0])
			}
		})
	}
}

// Where a body ends is net/http's to decide, in one way.
func TestBodiesEndInOnePlace(t *testing.T) {
	w := serveWire(t, apitest.Start(t, nil).Server, nil, nil)
	const path, kind = "POST /api/v1/environments", "Content-Type: application/json\r\n"
	// What would be a request of its own for whoever sees the body's end elsewhere.
	smuggled := head("GET /healthz")
	for _, row := range []struct {
		name, text string
		statuses   []int
	}{
		{"chunks", head(path, kind, "Transfer-Encoding: chunked\r\n") + "15\r\n{\"name\":\"payments/a\"}\r\n0\r\n\r\n", []int{201}},
		{"chunks and a length", head(path, kind, "Transfer-Encoding: chunked\r\n", "Content-Length: 3\r\n") + "15\r\n{\"name\":\"payments/b\"}\r\n0\r\n\r\n", []int{201}},
		{"chunks twice", head(path, kind, "Transfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\n") + "0\r\n\r\n" + smuggled, []int{501}},
		{"chunks and more", head(path, kind, "Transfer-Encoding: chunked, identity\r\n") + "0\r\n\r\n" + smuggled, []int{501}},
		{"compressed", head(path, kind, "Transfer-Encoding: gzip, chunked\r\n") + "0\r\n\r\n" + smuggled, []int{501}},
		{"chunks, hidden", head(path, kind, "Transfer-Encoding: \vchunked\r\n") + "0\r\n\r\n" + smuggled, []int{400}},
		{"chunks without a size", head(path, kind, "Transfer-Encoding: chunked\r\n") + "x\r\n" + smuggled, []int{400}},
		{"two lengths", head(path, kind, "Content-Length: 2\r\n", "Content-Length: 3\r\n") + "{}\n" + smuggled, []int{400}},
		{"a signed length", head(path, kind, "Content-Length: +2\r\n") + "{}" + smuggled, []int{400}},
		{"a negative length", head(path, kind, "Content-Length: -2\r\n") + "{}" + smuggled, []int{400}},
		{"a list of lengths", head(path, kind, "Content-Length: 2, 2\r\n") + "{}" + smuggled, []int{400}},
		{"a body that ends early", head(path, kind, "Content-Length: 200\r\n") + "{}", []int{400}},
	} {
		t.Run(row.name, func(t *testing.T) {
			answers, bodies := w.say(t, row.text)
			var statuses []int
			for _, answer := range answers {
				statuses = append(statuses, answer.StatusCode)
			}
			if len(statuses) != len(row.statuses) || statuses[0] != row.statuses[0] {
				t.Errorf("answers are %d %q, want %d", statuses, bodies, row.statuses)
			}
		})
	}
}

// Nobody holds a connection by being slow.
func TestSlowClients(t *testing.T) {
	kit := apitest.Start(t, nil)
	const short = 100 * time.Millisecond
	for _, row := range []struct {
		name, text string
		change     func(*http.Server)
		want       string // in what is answered
	}{
		{"who says nothing", "", func(s *http.Server) { s.ReadHeaderTimeout = short }, ""},
		{"whose head does not end", "GET /healthz HTTP/1.1\r\nHost: local", func(s *http.Server) { s.ReadHeaderTimeout = short }, ""},
		{"whose body does not end", head("POST /api/v1/environments", "Content-Type: application/json\r\nContent-Length: 100\r\n") + "{",
			func(s *http.Server) { s.ReadTimeout = short }, `"code":"body_too_slow"`},
		{"who says nothing more", head("GET /healthz"), func(s *http.Server) { s.IdleTimeout = short }, "200 OK"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := serveWire(t, kit.Server, nil, row.change).dial(t)
			if _, err := io.WriteString(c, row.text); err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(c)
			if err != nil || !strings.Contains(string(answer), row.want) {
				t.Errorf("%v, %s", err, answer)
			}
		})
	}
}

// Who reads nothing of the answers is cut off.
func TestSlowReaders(t *testing.T) {
	w := serveWire(t, apitest.Start(t, nil).Server, nil, func(s *http.Server) { s.WriteTimeout = 100 * time.Millisecond })
	c := w.dial(t)
	go func() {
		for range 1000 {
			if _, err := io.WriteString(c, head("GET /api/v1/openapi.json")); err != nil {
				return
			}
		}
	}()
	select {
	case <-w.closed:
	case <-time.After(15 * time.Second):
		t.Error("a client that reads nothing is still connected")
	}
}

// A handshake has the time of a request's head, and the connection is counted meanwhile.
func TestSlowHandshakes(t *testing.T) {
	kit := apitest.Start(t, nil)
	certificates := httptest.NewTLSServer(kit.Server)
	defer certificates.Close()
	config := &tls.Config{Certificates: certificates.TLS.Certificates, NextProtos: []string{"h2", "http/1.1"}}
	w := serveWire(t, kit.Server, config, func(s *http.Server) { s.ReadHeaderTimeout = 100 * time.Millisecond })
	c := w.dial(t)
	if answer, err := io.ReadAll(c); err != nil || len(answer) > 0 {
		t.Errorf("%v, %q", err, answer)
	}
	<-w.closed
	if open, _ := w.front.Open(); open != 0 {
		t.Errorf("%d are open", open)
	}
	// HTTP/2 works through the same listener, with the same bounds.
	client := certificates.Client()
	client.Transport.(*http.Transport).ForceAttemptHTTP2 = true
	for count, status := range map[int]int{10: 200, 101: 431} {
		request, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+w.address+"/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range count {
			request.Header.Set("X-"+strconv.Itoa(i), "y")
		}
		answer, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != status || answer.ProtoMajor != 2 || answer.Header.Get("Strict-Transport-Security") == "" {
			t.Errorf("%d fields over HTTP/%d: %d, %v", count, answer.ProtoMajor, answer.StatusCode, answer.Header)
		}
	}
}
