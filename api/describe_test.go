package api_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"broker/api"
	"broker/api/apitest"
)

// Every code that fsm and broker can refuse with has a status; else it would be a 500.
func TestEveryCodeHasAStatus(t *testing.T) {
	var known []string
	for _, folder := range []string{"../fsm", "../broker"} {
		files, err := filepath.Glob(folder + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				spec, ok := n.(*ast.ValueSpec)
				if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Code") {
					return true
				}
				if literal, ok := spec.Values[0].(*ast.BasicLit); ok && literal.Kind == token.STRING {
					code, err := strconv.Unquote(literal.Value)
					if err != nil {
						t.Fatal(err)
					}
					known = append(known, code)
				}
				return true
			})
		}
	}
	if len(known) < 20 {
		t.Fatalf("found only the codes %v", known)
	}
	for _, code := range known {
		if api.StatusOf(code) == 0 {
			t.Errorf("code %q has no HTTP status", code)
		}
	}
}

func TestDescription(t *testing.T) {
	kit := apitest.Start(t, nil)
	got := expect(t, 200, kit.URL, "GET", "/api/v1/openapi.json", "", "Authorization", "")
	if got.json["openapi"] != "3.1.0" {
		t.Errorf("openapi is %v", got.json["openapi"])
	}
	// Messages for values with alternatives speak of durations, so nothing else may have any.
	var walk func(any)
	found := 0
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if options, ok := v["anyOf"].([]any); ok {
				found++
				if len(options) != 3 {
					t.Errorf("a value other than a duration has alternatives: %v", v)
				}
			}
			for _, one := range v {
				walk(one)
			}
		case []any:
			for _, one := range v {
				walk(one)
			}
		}
	}
	walk(got.json)
	if found == 0 {
		t.Error("durations are not described")
	}
	paths, _ := got.json["paths"].(map[string]any)
	for _, path := range []string{"/api/v1/leases/{id}/renew", "/api/v1/environments/{app}/{env}/secrets/{name}/leases", "/api/v1/connections/{name}/check", "/api/v1/locks", "/api/v1/operations/{id}/cancel"} {
		if paths[path] == nil {
			t.Errorf("%s is not described", path)
		}
	}
	events, _ := json.Marshal(got.at("paths", "/api/v1/events", "get"))
	for _, part := range []string{`"Last-Event-ID"`, `"text/event-stream"`, `"since"`, `"application/json"`} {
		if !strings.Contains(string(events), part) {
			t.Errorf("the stream of events is described without %s: %s", part, events)
		}
	}
	problem, _ := json.Marshal(got.at("components", "schemas", "Problem"))
	if !strings.Contains(string(problem), `"code"`) {
		t.Errorf("problems are not described: %s", problem)
	}
	if got.at("components", "schemas", "Problem", "additionalProperties") != true || got.at("components", "schemas", "Problem", "properties", "retry_after") == nil {
		t.Errorf("problems are described without what some have besides: %s", problem)
	}
}

// Programs are made from the description, so it tells every status and header.
func TestDescriptionOfAnswers(t *testing.T) {
	kit := apitest.Start(t, nil)
	got := expect(t, 200, kit.URL, "GET", "/api/v1/openapi.json", "")
	for _, row := range []struct{ path, method, statuses, header string }{
		{"/api/v1/environments", "post", "200 201 default", "Broker-Index"},
		{"/api/v1/environments/{app}/{env}", "get", "200 default", "Broker-Consistency"},
		{"/api/v1/environments/{app}/{env}", "delete", "200 202 204 default", "Broker-Index"},
		{"/api/v1/locks/{id}", "delete", "204 default", "Broker-Request-Id"},
		{"/api/v1/leases/revoke", "post", "200 202 default", "Broker-Index"},
		{"/api/v1/leases/{id}/revoke", "post", "200 202 default", "Broker-Node"},
		{"/api/v1/connections/{name}/rotate", "post", "200 202 default", "Broker-Node"},
		{"/api/v1/leases/{id}/forget", "post", "200 default", "ETag"},
	} {
		responses, _ := got.at("paths", row.path, row.method, "responses").(map[string]any)
		if statuses := strings.Join(slices.Sorted(maps.Keys(responses)), " "); statuses != row.statuses {
			t.Errorf("%s %s has the statuses %s, want %s", row.method, row.path, statuses, row.statuses)
		}
		first := responses[strings.Fields(row.statuses)[0]].(map[string]any)
		headers, _ := first["headers"].(map[string]any)
		ref, _ := headers[row.header].(map[string]any)
		if ref["$ref"] != "#/components/headers/"+row.header || got.at("components", "headers", row.header, "schema") == nil {
			t.Errorf("%s %s: the header %s is not described: %v", row.method, row.path, row.header, headers)
		}
	}
	if got.at("paths", "/api/v1/leases/revoke", "post", "responses", "202", "headers", "Location") == nil {
		t.Error("the place of an operation is not described")
	}
}

func TestLogHoldsNoSecrets(t *testing.T) {
	var log syncBuffer
	kit := apitest.Start(t, func(c *api.Config) { c.Logger = slog.New(slog.NewJSONHandler(&log, nil)) })
	url := furnish(t, kit)
	issued := expect(t, 201, url, "POST", issuePath, `{}`)
	ask(t, url, "GET", "/api/v1/leases?token="+apitest.Token, "")
	text := log.String()
	password, _ := issued.at("values", "DB_PASSWORD").(string)
	for _, secret := range []string{apitest.Token, apitest.RootPassword, password} {
		if strings.Contains(text, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	if !strings.Contains(text, `"path":"`+issuePath+`"`) || !strings.Contains(text, `"account":"admin"`) {
		t.Errorf("the log does not tell of the request: %s", text)
	}
}

// syncBuffer is a buffer that several goroutines may write to.
type syncBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write appends.
func (b *syncBuffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(data)
}

// String returns what was written so far.
func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
