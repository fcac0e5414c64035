package api_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"broker/api"
	"broker/api/apitest"
	"broker/broker"
	"broker/fsm"
)

// repairs is a broker whose clock is two years ahead.
type repairs struct {
	api.Broker
	asked chan broker.Request
}

func (r repairs) RepairClock(_ context.Context, req broker.Request, reason string) (fsm.ClockRepair, error) {
	r.asked <- req
	to := fsm.At(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	return fsm.ClockRepair{From: to.Add(2 * time.Hour), To: to, Leases: 3, Tokens: 1}, nil
}

func TestRepairClock(t *testing.T) {
	kit := apitest.Start(t, nil)
	const path = "/api/v1/cluster/clock/repair"
	none := expect(t, 200, kit.URL, "POST", path, `{"reason":"to see"}`)
	if none.at("repaired") != false || none.at("leases") != float64(0) || none.at("from") != none.at("to") {
		t.Errorf("a clock that is right: %s", none.text)
	}
	if got := ask(t, kit.URL, "POST", path, `{"reason":" "}`); got.status != 422 || got.field() != "reason" {
		t.Errorf("without a reason: %d %s", got.status, got.text)
	}

	asked := make(chan broker.Request, 1)
	kit = apitest.Start(t, func(c *api.Config) { c.Broker = repairs{c.Broker, asked} })
	for _, query := range []string{"?dry_run=true", ""} {
		got := expect(t, 200, kit.URL, "POST", path+query, `{"reason":"bad NTP"}`)
		if req := <-asked; req.DryRun != (query != "") || req.Actor.Account != "admin" {
			t.Errorf("asked with %+v", req)
		}
		if got.at("repaired") != true || got.at("from") != "2026-03-01T14:00:00Z" || got.at("ahead_ms") != float64(7_200_000) || got.at("leases") != float64(3) || got.at("tokens") != float64(1) {
			t.Errorf("answered %s", got.text)
		}
	}
}

func TestClusterTellsTheClock(t *testing.T) {
	back := time.Duration(0)
	kit := apitest.Start(t, func(c *api.Config) { c.Now = func() time.Time { return time.Now().Add(-back) } })
	furnish(t, kit)
	// The kit's token is of the kind that is warned of.
	got := expect(t, 200, kit.URL, "GET", "/api/v1/cluster", "")
	if at, _ := got.at("clock_at").(string); at == "" || strings.Contains(got.text, "ahead of node") {
		t.Errorf("answered %s", got.text)
	}
	back = time.Hour
	got = expect(t, 200, kit.URL, "GET", "/api/v1/cluster", "")
	if warnings, _ := got.at("warnings").([]any); len(warnings) != 2 || !strings.Contains(warnings[0].(string), "1h0m0s ahead of node n1") && !strings.Contains(warnings[0].(string), "59m5") {
		t.Errorf("an hour ahead: %s", got.text)
	}
}
