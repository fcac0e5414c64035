package console_test

import (
	"testing"
	"time"

	"broker/api/console/consoletest"
)

// The cluster as its people see it: what runs, who may lead next, and that a node can be asked to.
func TestCluster(t *testing.T) {
	h := consoletest.Start(t)
	h.Lease("charted", 20*time.Minute)
	b := h.Browser(1, h.Token())
	b.Open("/ui/cluster")
	b.See("node1 answers you")
	b.See("node3")
	b.See("Feature level")
	for _, node := range []string{"node1", "node2", "node3"} {
		if ends, err := time.Parse(time.RFC3339Nano, b.Eval(`document.querySelector("#node-`+node+` [data-label=Certificate] time")?.dateTime`)); err != nil || time.Until(ends) < 24*time.Hour {
			t.Errorf("the certificate of %s ends at %v, %v", node, ends, err)
		}
	}
	b.Axe()
	b.Shot("cluster")
	b.Click("Demote node3")
	b.See("follows on and serves requests")
	b.Axe()
	b.Shot("cluster-demote")
	b.Fill("Reason", "its disk is slow")
	b.Click("Demote")
	b.See("Node node3 votes no more")
	b.See("non-voter")
	b.Click("Promote node3")
	b.Click("Promote")
	b.See("Node node3 votes.")
	b.Gone("non-voter")

	b.Click("Hand leadership over")
	b.See("runs the expiry clock")
	b.Axe()
	b.Shot("cluster-transfer")
	b.Click("Hand over")
	b.See("leads.")
}
