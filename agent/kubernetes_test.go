package agent

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"broker/agent/agenttest"
	"broker/api/types"
)

// cluster is an API server that is reached without a network.
type cluster struct {
	agenttest.APIServer
	mu   sync.Mutex
	away map[string]bool // by the token of who asks

	ask    func(*http.Request) error // what comes of a call before it arrives; nil: it does
	answer func(*http.Request) error // and of its answer
}

func (c *cluster) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	away, ask, answer := c.away[r.Header.Get("Authorization")], c.ask, c.answer
	c.mu.Unlock()
	if away {
		return nil, io.ErrUnexpectedEOF
	}
	if ask != nil {
		if err := ask(r); err != nil {
			return nil, err
		}
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	if answer != nil {
		if err := answer(r); err != nil {
			return nil, err
		}
	}
	return w.Result(), nil
}

func (c *cluster) kubernetes(t *testing.T, token string) *kubernetes {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	return &kubernetes{server: "https://kubernetes", tokenFile: path, namespace: "default", http: &http.Client{Transport: c}}
}

func (c *cluster) cutOff(name string, away bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away == nil {
		c.away = map[string]bool{}
	}
	c.away["Bearer "+name] = away
}

// meet has calls and answers come to something.
func (c *cluster) meet(ask, answer func(*http.Request) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ask, c.answer = ask, answer
}

// TestRedirected: what has values goes to the API server, not to where it points.
func TestRedirected(t *testing.T) {
	elsewhere := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s went elsewhere", r.Method, r.URL)
	}))
	defer elsewhere.Close()
	server := httptest.NewTLSServer(http.RedirectHandler(elsewhere.URL, http.StatusPermanentRedirect))
	defer server.Close()
	dir := t.TempDir()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := errors.Join(os.WriteFile(dir+"/ca", ca, 0o600), os.WriteFile(dir+"/token", []byte("x"), 0o600)); err != nil {
		t.Fatal(err)
	}
	api, err := Cluster{Server: server.URL, TokenFile: dir + "/token", CACert: dir + "/ca"}.connect()
	if err != nil {
		t.Fatal(err)
	}
	err = api.writeSecret(t.Context(), &Object{ObjectName: ObjectName{Name: "db"}}, nil, "app/env/db", nil, map[string][]byte{"user": []byte("canary")})
	if !answered(err, http.StatusPermanentRedirect) {
		t.Errorf("it came to %v", err)
	}
}

// TestRefusalHidden: who refuses a Secret may quote it; who refuses something else is told in its own words.
func TestRefusalHidden(t *testing.T) {
	for code, hidden := range map[int]bool{401: false, 403: true, 404: false, 409: false, 422: true, 500: true} {
		quoting := &kubernetes{server: "https://kubernetes", tokenFile: os.DevNull, http: &http.Client{Transport: answering{code, `{"reason": "Refused", "message": "no canary here"}`}}}
		for _, sent := range []any{opaque{}, coordination{}} {
			_, values := sent.(opaque)
			err := quoting.call(t.Context(), http.MethodPut, "/", sent, nil)
			if told := strings.Contains(err.Error(), "canary"); told == (hidden && values) || !answered(err, code) {
				t.Errorf("%d of %T became %v", code, sent, err)
			}
		}
	}
}

// answering answers everything in one way.
type answering struct {
	code int
	body string
}

func (a answering) RoundTrip(*http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	w.WriteHeader(a.code)
	_, err := w.WriteString(a.body)
	return w.Result(), err
}

// TestLateObject: a Secret that another agent wrote since it was looked at is neither written nor removed.
func TestLateObject(t *testing.T) {
	o := &cluster{}
	object := &Object{ObjectName: ObjectName{Name: "db"}}
	of := []*source{{config: &Secret{Secret: "app/env/db"}}}
	one, two := newTarget("one", "x", of), newTarget("two", "x", of)
	one.object, one.api = object, o.kubernetes(t, "one")
	two.object, two.api = object, o.kubernetes(t, "two")
	write := func(t *target, value string) error {
		do, _, err := t.make(given{{"db", types.Values{{Key: "USER", Value: value}}}}, []string{value})
		if err == nil {
			err = do(context.Background())
		}
		return err
	}
	look := func(of *target) string {
		t.Helper()
		found, err := of.present(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	look(one)
	look(two)
	if err := write(two, "new"); err != nil {
		t.Fatal(err)
	}
	is := look(two)
	if err := write(one, "old"); !answered(err, 409) {
		t.Errorf("a late first write came to %v", err)
	}
	look(one)
	if err := write(two, "newer"); err != nil {
		t.Fatal(err)
	}
	if err := write(one, "old"); !answered(err, 409) {
		t.Errorf("a late write came to %v", err)
	}
	if err := one.remove(t.Context()); !answered(err, 409) {
		t.Errorf("a late removal came to %v", err)
	}
	if now := look(one); now == "" || now == is {
		t.Error("it is not what it was")
	}
	if err := one.remove(t.Context()); err != nil || look(two) != "" {
		t.Errorf("removing it came to %v", err)
	}
}
