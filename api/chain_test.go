package api_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"broker/api/apitest"
)

// counted counts the bytes that are read of a body.
type counted struct {
	io.Reader
	n int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

// Nobody who has no token makes a node hold what he sends.
func TestStrangersBodiesAreNotRead(t *testing.T) {
	kit := apitest.Start(t, nil)
	for _, row := range []struct {
		name, method, path, token string
		status                    int
		read                      bool
	}{
		{"no token", "POST", "/api/v1/environments", "", 401, false},
		{"no token, no such route", "POST", "/api/v1/nothing", "", 401, false},
		{"wrong token", "POST", "/api/v1/environments", "brk_wrong", 401, false},
		{"another token", "POST", "/api/v1/environments", apitest.Token[:len(apitest.Token)-1] + "x", 401, false},
		{"health", "POST", "/healthz", "", 405, false},
		{"description", "GET", "/api/v1/openapi.json", "", 200, false},
		{"the right token", "POST", "/api/v1/environments", apitest.Token, 201, true},
	} {
		body := &counted{Reader: strings.NewReader(`{"name":"payments/production"}`)}
		r := httptest.NewRequest(row.method, row.path, body)
		r.Header.Set("Content-Type", "application/json")
		if row.token != "" {
			r.Header.Set("Authorization", "Bearer "+row.token)
		}
		w := httptest.NewRecorder()
		kit.Server.ServeHTTP(w, r)
		if w.Code != row.status || row.read != (body.n > 0) {
			t.Errorf("%s: status %d, want %d; %d bytes of the body were read: %s", row.name, w.Code, row.status, body.n, w.Body)
		}
		if kind := w.Header().Get("Content-Type"); w.Code == http.StatusUnauthorized && kind != "application/problem+json" {
			t.Errorf("%s: Content-Type is %q", row.name, kind)
		}
	}
}
