package api_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"broker/api/apitest"
)

// answer is what came back.
type answer struct {
	status int
	header http.Header
	text   string
	json   map[string]any
}

func (a answer) code() string {
	code, _ := a.json["code"].(string)
	return code
}

// field returns the first field that the problem blames.
func (a answer) field() string {
	errors, _ := a.json["errors"].([]any)
	if len(errors) == 0 {
		return ""
	}
	one, _ := errors[0].(map[string]any)
	field, _ := one["field"].(string)
	return field
}

func (a answer) at(path ...string) any {
	var here any = a.json
	for _, name := range path {
		object, _ := here.(map[string]any)
		here = object[name]
	}
	return here
}

// ask makes one request with the admin's token; headers are name and value in turn, and an empty
// value removes one.
func ask(t *testing.T, url, method, path, body string, headers ...string) answer {
	t.Helper()
	request, err := http.NewRequest(method, url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+apitest.Token)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] == "" {
			request.Header.Del(headers[i])
			continue
		}
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := answer{status: response.StatusCode, header: response.Header, text: string(content)}
	if len(content) > 0 && bytes.HasPrefix(content, []byte("{")) {
		if err := json.Unmarshal(content, &out.json); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, content)
		}
	}
	return out
}

// expect makes a request that must succeed.
func expect(t *testing.T, status int, url, method, path, body string, headers ...string) answer {
	t.Helper()
	got := ask(t, url, method, path, body, headers...)
	if got.status != status {
		t.Fatalf("%s %s: status %d, want %d: %s", method, path, got.status, status, got.text)
	}
	return got
}

const (
	secretsPath = "/api/v1/environments/payments/production/secrets"
	issuePath   = secretsPath + "/orders-ro/leases"
)

// furnish makes an environment, a connection and a secret of up to one hour, and returns the URL.
func furnish(t *testing.T, kit *apitest.Kit) string {
	t.Helper()
	expect(t, 201, kit.URL, "POST", "/api/v1/environments", `{"name":"payments/production"}`)
	expect(t, 201, kit.URL, "POST", "/api/v1/connections",
		`{"name":"orders-db","provider":"fake","environments":["payments/*"],"settings":{"password":"`+apitest.RootPassword+`"}}`)
	expect(t, 201, kit.URL, "POST", secretsPath,
		`{"name":"orders-ro","connection":"orders-db","default_ttl":"10m","max_ttl":3600,
		  "outputs":[{"key":"DB_USER","source":"username","masked":false},{"key":"DB_PASSWORD","source":"password"}]}`)
	return kit.URL
}

// issue issues a lease and returns its id.
func issue(t *testing.T, url, body string) string {
	t.Helper()
	id, _ := expect(t, 201, url, "POST", issuePath, body).at("lease", "id").(string)
	return id
}

// decoded reads an answer's JSON.
func decoded(t *testing.T, response *http.Response) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.NewDecoder(response.Body).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}
