package api_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"broker/api"
	"broker/api/apitest"
)

// A node counts what happened with leases, goes on where it stopped, and forgets what is older than an hour.
func TestActivity(t *testing.T) {
	var later atomic.Int64
	kit := apitest.Start(t, func(c *api.Config) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	})
	url := furnish(t, kit)
	issue := func(n int) (ids []string) {
		for i := range n {
			got := expect(t, 201, url, "POST", issuePath, fmt.Sprintf(`{"ttl":"%dm"}`, 20+10*i))
			ids = append(ids, got.at("lease", "id").(string))
		}
		return ids
	}
	counted := func() (issued, ended, ending float64, got answer) {
		got = expect(t, 200, url, "GET", "/api/v1/cluster/activity", "")
		past, ahead := got.json["past"].([]any), got.json["ahead"].([]any)
		if len(past) != 60 || len(ahead) != 60 {
			t.Fatalf("%d minutes past, %d ahead", len(past), len(ahead))
		}
		for i := range past {
			m := past[i].(map[string]any)
			issued, ended = issued+m["issued"].(float64), ended+m["ended"].(float64)
			ending += ahead[i].(map[string]any)["ending"].(float64)
		}
		return issued, ended, ending, got
	}

	ids := issue(3)
	expect(t, 200, url, "POST", "/api/v1/leases/"+ids[0]+"/revoke", "")
	if issued, ended, ending, got := counted(); issued != 3 || ended != 1 || ending != 2 {
		t.Errorf("%v issued, %v ended, %v to end: %s", issued, ended, ending, got.text)
	}
	issue(1)
	expect(t, 200, url, "POST", "/api/v1/leases/"+ids[1]+"/revoke", "")
	later.Store(int64(5 * time.Second)) // an answer is good for a few seconds
	if issued, ended, ending, got := counted(); issued != 4 || ended != 2 || ending != 2 {
		t.Errorf("after one more: %v issued, %v ended, %v to end: %s", issued, ended, ending, got.text)
	}
	later.Store(int64(2 * time.Hour))
	if issued, ended, ending, got := counted(); issued != 0 || ended != 0 || ending != 0 || got.json["since"] != got.json["past"].([]any)[0].(map[string]any)["at"] {
		t.Errorf("two hours later: %v issued, %v ended, %v to end: %s", issued, ended, ending, got.text)
	}
}
