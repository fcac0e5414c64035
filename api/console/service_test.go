package console_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"broker/api/console/consoletest"
	"broker/api/types"
)

// service is an outside system, behind the provider "webhook", that says what a test wants it to.
type service struct {
	mu     sync.Mutex
	refuse string // what it answers to revoke; empty: it revokes
	values map[string]string
}

// say has the service refuse to revoke with these words; empty: it revokes.
func (s *service) say(refuse string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = refuse
}

// ServeHTTP answers a call of the broker.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var call struct {
		RequestID string `json:"request_id"`
	}
	_ = json.NewDecoder(r.Body).Decode(&call)
	answer := map[string]any{"request_id": call.RequestID, "system": "the service of a test"}
	status := http.StatusOK
	switch path := r.URL.Path; {
	case strings.HasSuffix(path, "/create"):
		answer["values"] = s.values
	case strings.HasSuffix(path, "/list"):
		status, answer = http.StatusNotImplemented, map[string]any{"message": "no"}
	case strings.HasSuffix(path, "/revoke") && s.refuse != "":
		status, answer = http.StatusUnprocessableEntity, map[string]any{"message": s.refuse}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}

// newService starts one, with a connection and the secret odd/NAME/thing that uses it.
func newService(t *testing.T, h *consoletest.House, name string) (s *service, secret string) {
	t.Helper()
	s = &service{values: map[string]string{"password": "one\ntwo\nthree & <four>"}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	t.Cleanup(func() { s.say("") })
	c, ctx, env := h.Client(), t.Context(), "odd/"+name
	if _, err := c.CreateEnvironment(ctx, types.EnvironmentSpec{Name: env, Description: hostile}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateConnection(ctx, types.ConnectionSpec{
		Name: name, Provider: "webhook", Environments: []string{"*"}, Settings: map[string]any{"url": server.URL + "/broker", "secret": strings.Repeat("s", 32)},
	}); err != nil {
		t.Fatal(err)
	}
	made, err := c.CreateSecret(ctx, env, types.SecretSpec{Name: "thing", Description: hostile, Connection: name})
	if err != nil {
		t.Fatal(err)
	}
	return s, made.FullName
}

// hostile is a text that would run in a page, show a picture or be an element of its own, if it were taken for more than text.
const hostile = `"'><x-planted></x-planted><img src=/x onerror="window.ran=1"><script>window.ran=1</script>`
