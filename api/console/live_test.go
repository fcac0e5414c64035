package console_test

import (
	"testing"
	"time"

	"broker/api/console/consoletest"
)

// A node that is cut off says so, shows what it has, and loses nothing that was typed into a form it cannot send.
func TestCutOffNode(t *testing.T) {
	h := consoletest.Start(t)
	h.Lease("cut-off", time.Hour)
	b := h.Browser(3, h.Token())
	b.Expect("503") // the form's answer
	b.Open("/ui/leases")
	b.Live()
	b.Click("Revoke cut-off")
	b.Fill("Reason", "typed before")
	h.Devcluster("kill", "1")
	h.Devcluster("kill", "2")
	b.Click("Revoke lease")
	b.See("There is no leader at the moment")
	if typed := b.Eval("document.querySelector('#dialog [name=reason]').value"); typed != "typed before" {
		t.Errorf("what was typed is %q", typed)
	}
	b.Click("Cancel")
	b.See("hears of no leader")
	b.See("cut-off")
	b.Shot("stale")
	b.Open("/ui/cluster")
	b.See("Expiry suspended since")
	b.See("unreachable")
	b.Axe()
	b.Shot("cluster-cut-off")
	h.Devcluster("start", "1")
	h.Devcluster("start", "2")
	b.Gone("hears of no leader")
}

// A browser opens six connections to a host, so that pages in the background, which nobody looks at, must hold none. One that comes
// back shows what happened meanwhile.
func TestHiddenPagesFollowNothing(t *testing.T) {
	h := consoletest.Start(t)
	b := h.Browser(1, h.Token())
	b.Open("/ui/leases")
	b.Live()
	b.Eval(`Object.defineProperty(document, "hidden", { configurable: true, value: true }) && document.dispatchEvent(new Event("visibilitychange"))`)
	if got := b.Eval(`"connected" in document.body.dataset`); got != "false" {
		t.Errorf("a hidden page follows events: %s", got)
	}
	h.Lease("made-behind-it", time.Hour)
	b.Eval(`delete document.hidden && document.dispatchEvent(new Event("visibilitychange"))`)
	b.Live()
	b.See("made-behind-it")
}
