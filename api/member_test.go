package api_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"broker/api"
	"broker/api/apitest"
	"broker/broker"
	"broker/fsm"
)

func TestMembers(t *testing.T) {
	kit := apitest.Start(t, nil)
	const path = "/api/v1/cluster/members/n1"
	if got := expect(t, 200, kit.URL, "GET", path, ""); got.at("state") != "voter" || got.at("leader") != true {
		t.Errorf("answered %s", got.text)
	}
	if got := expect(t, 404, kit.URL, "GET", "/api/v1/cluster/members/n9", ""); got.at("code") != "not_found" {
		t.Errorf("answered %s", got.text)
	}
	expect(t, 200, kit.URL, "POST", path+"/promote", `{"reason":"checked"}`)
	expect(t, 200, kit.URL, "POST", path+"/demote", `{}`)
	expect(t, 200, kit.URL, "POST", path+"/leave", "")
	if got := expect(t, 200, kit.URL, "POST", "/api/v1/cluster/transfer", `{"to":"n1"}`); got.at("to") != "n1" {
		t.Errorf("answered %s", got.text)
	}
	if got := expect(t, 200, kit.URL, "POST", "/api/v1/cluster/upgrade?dry_run=true", ""); got.at("from") != float64(fsm.FeatureLevel) || got.at("to") != float64(fsm.FeatureLevel) {
		t.Errorf("answered %s", got.text)
	}
	expect(t, 204, kit.URL, "DELETE", path+"?force=true&reason=sold", "")
	want := []string{
		`admin: promote n1 "checked"`, `admin: demote n1 ""`, `admin: leave n1`, `admin: transfer n1`,
		`admin: finish upgrade (dry run)`, `admin: remove n1 "sold" force=true`,
	}
	if got := kit.Members.Asked(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the cluster was asked %q, want %q", got, want)
	}
	for _, code := range []fsm.Code{broker.CodeQuorumAtRisk, broker.CodeMemberUnready, broker.CodeMemberTooOld} {
		kit.Members.Refuse(&fsm.Refusal{Code: code, Message: "no"})
		if got := expect(t, 409, kit.URL, "DELETE", path, ""); got.at("code") != string(code) {
			t.Errorf("answered %s", got.text)
		}
	}
}

// A leader that hands over first sends the request on to the next one.
func TestRemovingLeaderGoesOn(t *testing.T) {
	kit := apitest.Start(t, nil)
	kit.Members.Refuse(broker.ErrNotLeader)
	url, follower := kit.Follower(t, "n2", func(c *api.Config) { c.RetryPause = 1 })
	tries := 0
	through := follower.Transport
	follower.Transport = apitest.RoundTrip(func(r *http.Request) (*http.Response, error) {
		if tries++; tries == 3 {
			kit.Members.Refuse(nil)
		}
		return through.RoundTrip(r)
	})
	expect(t, 204, url, "DELETE", "/api/v1/cluster/members/n1", "")
	if tries != 3 {
		t.Errorf("tried %d times", tries)
	}
}

// notReady is a node that has not caught up.
type notReady struct{ api.Cluster }

func (notReady) Ready() error { return errors.New("the node has not caught up with the leader yet") }

// While a node says goodbye it serves on, and lets go of its clients' connections.
func TestPart(t *testing.T) {
	kit := apitest.Start(t, nil)
	get := func() *http.Response {
		t.Helper()
		resp, err := http.Get(kit.URL + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp
	}
	if get().Close {
		t.Error("a connection is closed without reason")
	}
	kit.Server.Part()
	if resp := get(); !resp.Close || resp.StatusCode != http.StatusOK {
		t.Errorf("when it parts: %d, close %t", resp.StatusCode, resp.Close)
	}
	url, _ := kit.Follower(t, "n2", func(c *api.Config) { c.Cluster = notReady{c.Cluster} })
	if got := ask(t, url, "GET", "/readyz", ""); got.status != 503 || !strings.Contains(got.text, "has not caught up") {
		t.Errorf("ready: %d %s", got.status, got.text)
	}
}
