package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"broker/api/client"
	"broker/api/types"
)

// nextBroker builds the version that reads feature level 2, which exists in tests only.
func nextBroker(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "brokerd")
	build := exec.Command("go", "build", raceFlag, "-tags", "level2", "-ldflags", "-X main.version=next", "-o", path, "./cmd/brokerd")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the next version: %v\n%s", err, out)
	}
	return path
}

// previousBroker is the version that is upgraded from: the one that BROKER_PREVIOUS names, else this one, of which
// the next version differs in its feature level.
func previousBroker() string {
	if path := os.Getenv("BROKER_PREVIOUS"); path != "" {
		return path
	}
	return filepath.Join(binDir, "brokerd")
}

// A cluster is upgraded node by node under load, back and forth while upgrades are held, then for good. Nothing
// fails on the way; afterwards the previous version neither starts nor is let in.
func TestUpgradeUnderLoad(t *testing.T) {
	t.Parallel()
	previous, next := previousBroker(), nextBroker(t)
	h := newHouse(t, "DEVCLUSTER_DRAIN_TIME=3s", "BROKERD_UPGRADE=hold", "DEVCLUSTER_BROKERD="+previous)
	runs := func(program string) { h.env[len(h.env)-1] = "DEVCLUSTER_BROKERD=" + program }
	b := startBalancer(t, h.addrs)
	m := startHammer(t, h, b, 6)
	level := func() uint64 {
		t.Helper()
		view, err := h.client().GetCluster(t.Context(), client.WithConsistency(types.Linearizable))
		if err != nil {
			t.Fatal(err)
		}
		return view.FeatureLevel
	}
	exchange := func(node int, with string) {
		t.Helper()
		h.mustDevcluster("stop", fmt.Sprint(node))
		runs(with)
		h.mustDevcluster("start", fmt.Sprint(node))
		eventually(t, time.Minute, "the node is ready", b.ready[node-1].Load)
	}
	refusedFor := func(want string) {
		t.Helper()
		eventually(t, time.Minute, "finishing the upgrade is refused: "+want, func() bool {
			_, errors, err := h.brokerctl("cluster", "upgrade", "finalize", "--yes")
			return err != nil && strings.Contains(errors, want)
		})
	}

	leader, followers := h.leader()
	exchange(followers[0], next)
	refusedFor("reads up to level 1: upgrade it to a version that reads level 2")
	exchange(followers[1], next)
	exchange(followers[0], previous) // there is a way back
	exchange(followers[0], next)
	exchange(leader, next)
	if got := level(); got != 1 {
		t.Errorf("held, and at level %d", got)
	}
	h.mustBrokerctl("cluster", "upgrade", "finalize", "--yes")
	if got := level(); got != 2 {
		t.Errorf("finished, and at level %d", got)
	}
	before := m.leases()
	eventually(t, time.Minute, "leases go on being issued", func() bool { return m.leases() > before+20 })
	m.stop()
	m.mustNotHaveFailed()

	// Now the previous version has no place here.
	last := followers[0]
	eventually(t, time.Minute, "the data directory tells its level", func() bool {
		data, err := os.ReadFile(filepath.Join(h.dir, fmt.Sprintf("node%d", last), "data", "node.json"))
		return err == nil && strings.Contains(string(data), `"feature_level": 2`)
	})
	h.mustDevcluster("stop", fmt.Sprint(last))
	runs(previous)
	if out, err := h.devcluster("start", fmt.Sprint(last)); err == nil || !strings.Contains(out, "this version reads up to level 1: start the newer version again") {
		t.Errorf("the previous version starts: %v\n%s", err, out)
	}
	runs(next)
	h.mustDevcluster("start", fmt.Sprint(last))
	eventually(t, time.Minute, "the node is ready", b.ready[last-1].Load)
}
