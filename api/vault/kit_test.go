package vault_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"broker/api/apitest"
)

// reply is what came back.
type reply struct {
	status int
	header http.Header
	text   string
	json   map[string]any
}

func (a reply) at(path ...string) any {
	var here any = a.json
	for _, name := range path {
		object, _ := here.(map[string]any)
		here = object[name]
	}
	return here
}

func (a reply) textAt(path ...string) string {
	out, _ := a.at(path...).(string)
	return out
}

// errors are the sentences of a refusal.
func (a reply) errors() []string {
	var out []string
	list, _ := a.json["errors"].([]any)
	for _, one := range list {
		sentence, _ := one.(string)
		out = append(out, sentence)
	}
	return out
}

// warned reports whether an answer warns of something with these words.
func (a reply) warned(words string) bool {
	list, _ := a.json["warnings"].([]any)
	for _, one := range list {
		if sentence, _ := one.(string); strings.Contains(sentence, words) {
			return true
		}
	}
	return false
}

// client asks as clients of Vault do: a token of its own header, and nothing said of the body's type.
type client struct {
	t     *testing.T
	url   string
	token string
}

// do makes a request. Headers are name and value in turn.
func (c client) do(method, path, body string, headers ...string) reply {
	c.t.Helper()
	request, err := http.NewRequest(method, c.url+"/v1/"+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header.Set("X-Vault-Request", "true")
	if c.token != "" {
		request.Header.Set("X-Vault-Token", c.token)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	out := reply{status: response.StatusCode, header: response.Header, text: string(content)}
	if len(content) > 0 {
		if got := response.Header.Get("Content-Type"); got != "application/json" {
			c.t.Errorf("%s %s: content type %q", method, path, got)
		}
		if err := json.Unmarshal(bytes.TrimSpace(content), &out.json); err != nil {
			c.t.Fatalf("%s %s: %v in %s", method, path, err, content)
		}
	}
	return out
}

// must makes a request that has to be answered with a status.
func (c client) must(status int, method, path, body string, headers ...string) reply {
	c.t.Helper()
	got := c.do(method, path, body, headers...)
	if got.status != status {
		c.t.Fatalf("%s %s %s: status %d, want %d: %s", method, path, body, got.status, status, got.text)
	}
	return got
}

// native makes a request of the broker's own API, with the admin's token.
func native(t *testing.T, url, method, path, body string) reply {
	t.Helper()
	request, err := http.NewRequest(method, url+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+apitest.Token)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
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
	if response.StatusCode >= 300 {
		t.Fatalf("%s %s: %s", method, path, content)
	}
	out := reply{status: response.StatusCode, text: string(content)}
	if len(content) > 0 {
		if err := json.Unmarshal(content, &out.json); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// creds is the path of the secret that furnish makes.
const creds = "payments/production/creds/orders-ro"

// furnish makes an environment, a connection and a secret of ten minutes, one hour at the most.
func furnish(t *testing.T, kit *apitest.Kit) client {
	t.Helper()
	native(t, kit.URL, "POST", "/environments", `{"name":"payments/production"}`)
	native(t, kit.URL, "POST", "/connections",
		`{"name":"orders-db","provider":"fake","environments":["payments/*"],"settings":{"password":"`+apitest.RootPassword+`"}}`)
	native(t, kit.URL, "POST", "/environments/payments/production/secrets",
		`{"name":"orders-ro","connection":"orders-db","default_ttl":"10m","max_ttl":3600,
		  "outputs":[{"key":"DB_USER","source":"username","masked":false},{"key":"DB_PASSWORD","source":"password"},{"key":"DB_PAIR","source":"{{username}}:{{password}}"}]}`)
	return client{t, kit.URL, apitest.Token}
}

// leases returns how many leases there are, whatever their state.
func leases(t *testing.T, url string) int {
	t.Helper()
	list, _ := native(t, url, "GET", "/leases", "").json["items"].([]any)
	return len(list)
}
