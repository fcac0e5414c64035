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
