package api_test

import (
	"errors"
	"testing"

	"broker/api/apitest"
)

// A node whose state is wrong answers no read but how it sees the cluster; what it forwards goes on.
func TestWrongStateIsNotRead(t *testing.T) {
	kit := apitest.Start(t, nil)
	furnish(t, kit)
	url, cluster := kit.Follower(t, "n2", brief)
	s := follow(t, url, "")
	cluster.SetDiverged(errors.New("restart it"))
	if code := s.end(); code != "state_diverged" {
		t.Errorf("a stream ends with %s", code)
	}
	for _, path := range []string{"/api/v1/leases", "/api/v1/events", "/api/v1/leases?consistency=stale"} {
		if got := ask(t, url, "GET", path, ""); got.status != 503 || got.code() != "state_diverged" || got.at("hint") != "restart it" {
			t.Errorf("%s: %d %s", path, got.status, got.text)
		}
	}
	if got := ask(t, url, "GET", "/readyz", ""); got.status != 503 {
		t.Errorf("it is ready: %s", got.text)
	}
	expect(t, 200, url, "GET", "/api/v1/cluster", "")
	expect(t, 200, url, "GET", "/api/v1/health/connections", "")
	expect(t, 201, url, "POST", issuePath, `{}`)
	cluster.SetDiverged(nil)
	expect(t, 200, url, "GET", "/api/v1/leases", "")
}
