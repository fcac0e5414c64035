package console_test

import (
	"io"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"broker/api/apitest"
	"broker/api/console/consoletest"
	"broker/api/types"
)

// wholeState is a snapshot of nothing much.
type wholeState struct{ io.WriterTo }

func (wholeState) Close() error { return nil }

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
	b.See("counts for the majority")
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

// Everybody sees how the cluster is; what changes it is offered to who may, with what it means, and refused with a reason.
func TestClusterPage(t *testing.T) {
	d := newDesk(t)
	d.signIn(d.person("alice", "viewer", "other/*"))
	got := d.get("/ui/cluster")
	if got.StatusCode != 200 || !strings.Contains(got.text, "Feature level") || strings.Contains(got.text, "data-dialog") || strings.Contains(got.text, "/ui/cluster/snapshot") {
		t.Errorf("who may do nothing: %d %s", got.StatusCode, got.text)
	}
	d.signIn(apitest.Token)
	got = d.get("/ui/cluster")
	for _, text := range []string{"/ui/cluster/transfer", "/ui/cluster/snapshot", "/ui/cluster/nodes/n1/demote", "/ui/cluster/nodes/n1/remove"} {
		if !strings.Contains(got.text, text) {
			t.Errorf("who may everything is not offered %s", text)
		}
	}
	d.kit.Members.Refuse(apitest.Refusal("quorum_at_risk", "the nodes that stay and answer would be no quorum"))
	got = d.ask("POST", "/ui/cluster/nodes/n1/remove", url.Values{"reason": {"old"}}, "Console-Part", "dialog")
	if got.StatusCode != 409 || !strings.Contains(got.text, "would be no quorum") || !strings.Contains(got.text, `value="old"`) {
		t.Errorf("a removal that is refused: %d %s", got.StatusCode, got.text)
	}
	d.kit.Members.Refuse(nil)
	if got = d.ask("POST", "/ui/cluster/nodes/n1/demote", url.Values{"reason": {"old"}}, "Console-Part", "dialog"); got.StatusCode != 204 || !slices.Contains(d.kit.Members.Asked(), `admin: demote n1 "old"`) {
		t.Errorf("a demotion: %d %s; asked: %q", got.StatusCode, got.text, d.kit.Members.Asked())
	}
	if got = d.get("/ui/cluster/nodes/n9/remove"); got.StatusCode != 404 {
		t.Errorf("a node that is none: %d", got.StatusCode)
	}
	got = d.get("/ui/cluster/snapshot")
	if got.StatusCode != 200 || got.text != "all of it" || got.Header.Get("Content-Type") != types.SnapshotContentType || !strings.HasPrefix(got.Header.Get("Content-Disposition"), `attachment; filename="broker-`) {
		t.Errorf("a snapshot: %d %q %v", got.StatusCode, got.text, got.Header)
	}

	// Without a leader the page says so, from what the node has.
	d.kit.Cluster.SetLeader("")
	d.kit.Cluster.SetStaleness(42 * time.Second)
	if got = d.get("/ui/cluster"); got.StatusCode != 200 || !strings.Contains(got.text, "data-stale") || !strings.Contains(got.text, "last heard of") {
		t.Errorf("without a leader: %d %s", got.StatusCode, got.text)
	}
	d.kit.Cluster.SetLeader("n1")
	d.kit.Cluster.SetStaleness(0)
}
