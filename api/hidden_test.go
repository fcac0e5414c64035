package api_test

import (
	"testing"

	"broker/api/apitest"
)

// Where a page of history ends does not tell what a filter chooses of what the caller does not see.
func TestPagesTellNothingOfWhatIsHidden(t *testing.T) {
	url := furnish(t, apitest.Start(t, decided))
	expect(t, 201, url, "POST", "/api/v1/accounts", `{"name":"nobody","kind":"service"}`)
	token := text(expect(t, 201, url, "POST", "/api/v1/tokens", `{"account":"nobody"}`).json["token"])
	id := issue(t, url, `{"labels":{"team":"red"}}`)
	username := text(expect(t, 200, url, "GET", "/api/v1/leases/"+id, "").json["username"])
	for _, query := range []string{"username=" + username, "label=team%3Dred", "environment=payments/production", "actor=admin&type=lease"} {
		if got := bearing(t, token, url, "GET", "/api/v1/events?limit=1&"+query, ""); got.status != 200 || got.json["next_cursor"] != nil || len(got.json["items"].([]any)) != 0 {
			t.Errorf("%s: %d %s", query, got.status, got.text)
		}
	}
}
