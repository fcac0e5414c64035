package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The leader is removed and another node told to leave: both stop, with a sentence, and do not start again; what is
// left goes on.
func TestRemoveAndLeave(t *testing.T) {
	t.Parallel()
	h := newCluster(t)
	leader, followers := h.leader()
	node := func(n int) string { return fmt.Sprintf("node%d", n) }
	log := func(n int) string {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(h.dir, node(n), "log"))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	says := func(n int, want string) {
		t.Helper()
		eventually(t, time.Minute, node(n)+" says: "+want, func() bool { return strings.Contains(log(n), want) })
	}
	members := func() int { return len(strings.Fields(h.mustBrokerctl("cluster", "members", "-o", "name"))) }

	h.mustBrokerctl("cluster", "remove", node(leader), "--yes", "--reason", "it was sold")
	says(leader, "error: this node was removed from the cluster")
	eventually(t, time.Minute, "two members are left", func() bool { return members() == 2 })
	again := exec.CommandContext(t.Context(), filepath.Join(binDir, "brokerd"), "server", "--node-id", node(leader), "--data-dir", filepath.Join(h.dir, node(leader), "data"),
		"--api-listen", "127.0.0.1:0", "--cluster-listen", "127.0.0.1:0", "--gossip-listen", "off")
	out, err := again.CombinedOutput()
	if err == nil || again.ProcessState.ExitCode() != 3 || !strings.Contains(string(out), "give it an empty data directory") {
		t.Errorf("starting a removed node: %v\n%s", err, out) // 3 tells a service manager not to try again
	}
	h.addrs[leader-1] = h.addrs[followers[0]-1] // nobody is there any more

	h.mustBrokerctl("cluster", "leave", node(followers[0]), "--yes")
	says(followers[0], "left the cluster")
	says(followers[0], "node is down")
	eventually(t, time.Minute, "one member is left", func() bool { return members() == 1 })
	if _, errors, err := h.brokerctl("cluster", "leave", node(followers[1]), "--yes"); err == nil || !strings.Contains(errors, "no node would be left that votes") {
		t.Errorf("the last one leaves: %v %s", err, errors)
	}
	events := h.mustBrokerctl("event", "list", "-o", "json")
	for _, want := range []string{"member.admitted", "member.promoted", "member.removed", "it was sold"} {
		if !strings.Contains(events, want) {
			t.Errorf("history does not tell of %s", want)
		}
	}
}

// A node lost its disk. It is not let in while its name is a member's, and once that was removed it comes back under
// the same name, with a vote.
func TestLostDiskComesBack(t *testing.T) {
	t.Parallel()
	h := newCluster(t)
	_, followers := h.leader()
	lost := followers[0]
	name := fmt.Sprintf("node%d", lost)
	h.mustDevcluster("kill", fmt.Sprint(lost))
	if err := os.RemoveAll(filepath.Join(h.dir, name, "data")); err != nil {
		t.Fatal(err)
	}
	if out, err := h.devcluster("start", fmt.Sprint(lost)); err == nil || !strings.Contains(out, "is a member already") {
		t.Errorf("starting with an empty directory under a member's name: %v\n%s", err, out)
	}
	h.mustBrokerctl("cluster", "remove", name, "--yes", "--reason", "its disk is gone")
	h.mustDevcluster("start", fmt.Sprint(lost))
	eventually(t, time.Minute, "it votes again", func() bool {
		m, err := h.client().GetMember(t.Context(), name)
		return err == nil && m.State == "voter" && m.Alive && m.Trouble == ""
	})
}
