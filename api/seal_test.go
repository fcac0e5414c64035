package api_test

import (
	"strings"
	"testing"
	"time"

	"broker/api"
	"broker/api/apitest"
	"broker/fsm"
)

// waiting is a state whose sealing key is being exchanged, which waits for a node.
type waiting struct {
	api.State
	since *time.Time
}

type waitingView struct {
	api.View
	since time.Time
}

func (w waiting) View(read func(api.View) error) error {
	return w.State.View(func(v api.View) error { return read(waitingView{v, *w.since}) })
}

func (v waitingView) SealingKeys() []fsm.SealingKey {
	return []fsm.SealingKey{
		{Number: 1, ID: 0xa1, State: fsm.SealingPrimary, Holders: []string{"n1"}},
		{Number: 7, ID: 0xb2, State: fsm.SealingNext, CreatedAt: fsm.At(v.since), Holders: []string{"n2"}},
	}
}

func (v waitingView) SealedBy() map[uint32]uint64 { return map[uint32]uint64{0xa1: 5} }

// Who is waited for is told where it is asked for, and after a while wherever somebody looks.
func TestExchangeOfTheSealingKeyIsTold(t *testing.T) {
	since := time.Now()
	kit := apitest.Start(t, func(c *api.Config) { c.State = waiting{c.State, &since} })
	got := expect(t, 200, kit.URL, "GET", "/api/v1/seal", "")
	if got.at("exchange") != "distributing" || got.at("done") != float64(5) || got.at("total") != float64(5) || !strings.Contains(got.text, `"missing":["n1"]`) {
		t.Errorf("answered %s", got.text)
	}
	if got := expect(t, 200, kit.URL, "GET", "/api/v1/cluster", ""); strings.Contains(got.text, "sealing key") {
		t.Errorf("warned at once: %s", got.text)
	}
	since = since.Add(-time.Hour)
	if got := expect(t, 200, kit.URL, "GET", "/api/v1/cluster", ""); !strings.Contains(got.text, "the exchange of the sealing key waits for n1") {
		t.Errorf("not warned after an hour: %s", got.text)
	}
}

// A dry run begins nothing, one exchange runs at a time, and a repeated request is the same one.
func TestRotateSeal(t *testing.T) {
	kit := apitest.Start(t, nil)
	const path = "/api/v1/seal/rotate"
	if got := expect(t, 200, kit.URL, "POST", path+"?dry_run=true", ""); got.at("exchange") != "none" {
		t.Errorf("a dry run: %s", got.text)
	}
	if got := expect(t, 202, kit.URL, "POST", path, ""); got.at("exchange") == "none" {
		t.Errorf("answered %s", got.text)
	}
	if got := ask(t, kit.URL, "POST", path, ""); got.status != 409 || got.at("code") != "rotation_running" {
		t.Errorf("a second one: %d %s", got.status, got.text)
	}
}
