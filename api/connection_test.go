package api_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"broker/api/apitest"
	"broker/providers"
	"broker/providers/providertest"
)

func TestPause(t *testing.T) {
	kit := apitest.Start(t, nil)
	url := furnish(t, kit)
	lease := issue(t, url, `{}`)
	const path = "/api/v1/connections/orders-db"
	for body, field := range map[string]string{
		`{"reason":"x"}`: "until",
		`{"ttl":"1h"}`:   "reason",
		`{"ttl":"1h","until":"2100-01-01T00:00:00Z","reason":"x"}`: "until",
		`{"until":"2001-01-01T00:00:00Z","reason":"x"}`:            "until",
	} {
		if got := ask(t, url, "POST", path+"/pause", body); got.status != 422 || got.field() != field {
			t.Errorf("%s: %d, field %q: %s", body, got.status, got.field(), got.text)
		}
	}
	paused := expect(t, 200, url, "POST", path+"/pause", `{"ttl":"10m","reason":"an upgrade"}`)
	if paused.json["paused_until"] == nil || paused.json["pause_reason"] != "an upgrade" {
		t.Errorf("the paused connection is %s", paused.text)
	}
	got := ask(t, url, "POST", issuePath, `{}`)
	if seconds := wait(t, got); got.status != 503 || got.code() != "connection_paused" || seconds < 590 || seconds > 600 {
		t.Errorf("issuing meanwhile: %d %s", got.status, got.text)
	}
	// Its end begins and waits.
	expect(t, 202, url, "POST", "/api/v1/leases/"+lease+"/revoke", "")
	if logins := kit.Fake.Logins(); len(logins) != 1 {
		t.Errorf("a paused system was called: it has %d logins, want 1", len(logins))
	}
	health := expect(t, 200, url, "GET", path+"/health", "").json["items"].([]any)
	if one := health[0].(map[string]any); len(health) != 1 || one["paused_until"] == nil || one["waiting"] != 1.0 || one["current"] != true || one["system"] == nil {
		t.Errorf("its health is %v", health)
	}
	expect(t, 200, url, "POST", path+"/pause", `{"ttl":"10h","reason":"a longer upgrade"}`)
	if got := ask(t, url, "POST", issuePath, `{}`); wait(t, got) != 3600 {
		t.Errorf("the longest wait is %s", got.text)
	}
	if resumed := expect(t, 200, url, "POST", path+"/resume", ""); resumed.json["paused_until"] != nil {
		t.Errorf("the resumed connection is %s", resumed.text)
	}
	issue(t, url, `{}`)
	expect(t, 404, url, "POST", "/api/v1/connections/nowhere/resume", "")
}

// Only the leader knows how connections are; every node answers.
func TestHealthAtAFollower(t *testing.T) {
	kit := apitest.Start(t, nil)
	furnish(t, kit)
	follower, cluster := kit.Follower(t, "n2", nil)
	for _, path := range []string{"/api/v1/health/connections", "/api/v1/connections/orders-db/health"} {
		got := expect(t, 200, follower, "GET", path, "")
		items := got.json["items"].([]any)
		if len(items) != 1 || items[0].(map[string]any)["available"] != true || got.header.Get("Broker-Node") != "n1" {
			t.Errorf("%s: answered by %s: %s", path, got.header.Get("Broker-Node"), got.text)
		}
	}
	expect(t, 404, follower, "GET", "/api/v1/connections/nowhere/health", "")
	expect(t, 404, follower, "GET", "/api/v1/connections/health", "") // a connection of that name

	var gone atomic.Bool
	toLeader := cluster.Transport
	cluster.Transport = apitest.RoundTrip(func(r *http.Request) (*http.Response, error) {
		if gone.Load() {
			return nil, apitest.NotSent{}
		}
		return toLeader.RoundTrip(r)
	})
	gone.Store(true)
	got := make(chan answer)
	go func() { got <- ask(t, follower, "GET", "/api/v1/health/connections", "") }()
	<-time.After(20 * time.Millisecond)
	gone.Store(false)
	if got := <-got; got.status != 200 {
		t.Errorf("after a while without a leader: %d %s", got.status, got.text)
	}
}

func TestSweep(t *testing.T) {
	kit := apitest.Start(t, nil)
	url := furnish(t, kit)
	if made := expect(t, 200, url, "PATCH", "/api/v1/connections/orders-db", `{"sweep":"report"}`); made.json["sweep"] != "report" {
		t.Errorf("the connection is %s", made.text)
	}
	lost := issue(t, url, `{}`)
	known := kit.Fake.Logins()[0]
	stranger := known
	prefix := string(known.Name[:strings.LastIndex(string(known.Name), "_")+1])
	stranger.Name = providers.LoginName(prefix + "stranger")
	kit.Fake.Add(stranger)
	kit.Fake.Remove(known.Name)

	reports := expect(t, 200, url, "POST", "/api/v1/sweep", `{"connection":"orders-db"}`).json["items"].([]any)
	if len(reports) != 1 {
		t.Fatalf("%d reports, want 1", len(reports))
	}
	report := reports[0].(map[string]any)
	missing, _ := report["missing"].([]any)
	orphans, _ := report["orphans"].([]any)
	if report["mode"] != "report" || report["listed"] != 1.0 || len(missing) != 1 || missing[0] != lost || len(orphans) != 1 {
		t.Errorf("the report is %v", report)
	}
	listed := expect(t, 200, url, "GET", "/api/v1/orphans?limit=1", "").json["items"].([]any)
	if len(listed) != 1 || listed[0].(map[string]any)["username"] != string(stranger.Name) {
		t.Errorf("the orphans are %v", listed)
	}
	shown := expect(t, 200, url, "GET", "/api/v1/leases?state=missing", "").json["items"].([]any)
	if len(shown) != 1 || shown[0].(map[string]any)["id"] != lost || shown[0].(map[string]any)["missing"] != true {
		t.Errorf("the missing leases are %v", shown)
	}

	kit.Fake.Fail(providertest.OpList, providertest.FaultUnreachable)
	failed := expect(t, 200, url, "POST", "/api/v1/sweep", "").json["items"].([]any)
	if failed[0].(map[string]any)["error"] == nil {
		t.Errorf("a failed listing is reported as %v", failed)
	}
	expect(t, 404, url, "POST", "/api/v1/sweep", `{"connection":"nowhere"}`)
	if got := ask(t, url, "POST", "/api/v1/sweep?dry_run=true", ""); got.status != 422 {
		t.Errorf("a sweep cannot be tried: %d %s", got.status, got.text)
	}
}

func TestOrphansInPages(t *testing.T) {
	kit := apitest.Start(t, nil)
	url := furnish(t, kit)
	expect(t, 200, url, "PATCH", "/api/v1/connections/orders-db", `{"sweep":"report"}`)
	issue(t, url, `{}`)
	known := kit.Fake.Logins()[0]
	for _, end := range []string{"_a", "_b", "_c"} {
		other := known
		other.Name += providers.LoginName(end)
		kit.Fake.Add(other)
	}
	expect(t, 200, url, "POST", "/api/v1/sweep", "")
	var got []string
	for cursor := ""; ; {
		page := expect(t, 200, url, "GET", "/api/v1/orphans?limit=2&cursor="+cursor, "")
		for _, one := range page.json["items"].([]any) {
			name := one.(map[string]any)["username"].(string)
			got = append(got, name[len(name)-1:])
		}
		if cursor, _ = page.json["next_cursor"].(string); cursor == "" {
			break
		}
	}
	if strings.Join(got, "") != "abc" {
		t.Errorf("pages hold %v", got)
	}
	if got := ask(t, url, "GET", "/api/v1/orphans?cursor=eA", ""); got.status != 422 || got.field() != "cursor" {
		t.Errorf("a cursor of another list: %d %s", got.status, got.text)
	}
}

func TestDryRunsTellWhichSecretFieldsDiffer(t *testing.T) {
	kit := apitest.Start(t, nil)
	url := furnish(t, kit)
	const path = "/api/v1/connections/orders-db"
	for _, one := range []struct{ query, settings, want string }{
		{"?dry_run=true", `{"password":"` + apitest.RootPassword + `"}`, ""},
		{"?dry_run=true", `{"password":"guess"}`, "password"},
		{"?dry_run=true", `{"system":"main"}`, ""},
		{"", `{"password":"` + apitest.RootPassword + `"}`, ""},
	} {
		got := expect(t, 200, url, "PATCH", path+one.query, `{"skip_check":true,"settings":`+one.settings+`}`)
		fields, _ := got.json["changed_secret_fields"].([]any)
		if changed := len(fields) == 1 && fields[0] == one.want; changed != (one.want != "") || len(fields) > 1 {
			t.Errorf("%s %s: %v differ, want %q", one.query, one.settings, fields, one.want)
		}
		if strings.Contains(got.text, "guess") || strings.Contains(got.text, apitest.RootPassword) {
			t.Errorf("the answer has the value: %s", got.text)
		}
	}
}
