package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"broker/cluster"
	"broker/fsm"
)

// asDaemon has the test's own binary be brokerd: what ends the process can be watched.
const asDaemon = "BROKERD_TEST_AS_DAEMON"

func TestMain(m *testing.M) {
	if os.Getenv(asDaemon) != "" {
		os.Unsetenv(asDaemon) // it is no option
		os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// blind is a state machine that takes everything and knows nothing.
type blind struct{}

func (blind) Apply(*raft.Log) any                 { return nil }
func (blind) ApplyBatch(batch []*raft.Log) []any  { return make([]any, len(batch)) }
func (blind) Snapshot() (raft.FSMSnapshot, error) { return nil, io.EOF }
func (blind) Restore(content io.ReadCloser) error { return content.Close() }

// An older version that meets an entry of a newer one in its log ends with a sentence, and is not started again.
func TestLogOfANewerVersion(t *testing.T) {
	c := loneConfig(t, filepath.Join(t.TempDir(), "data"))
	mustNode(t, c).stop()

	// What a newer version might have written.
	node, err := cluster.New(cluster.Config{
		NodeID: c.NodeID, DataDir: c.DataDir, ClusterAddr: c.ClusterListen, FSM: blind{}, Timing: cluster.LAN(),
		Network: cluster.PlainTCP{},
	})
	must(t, err)
	must(t, node.Start(t.Context()))
	poll(t, "a leader", node.LeaderReady)
	entry, err := fsm.Command{Type: 65000, Version: 1, At: fsm.At(time.Now()), Body: []byte{0xa0}}.Encode()
	must(t, err)
	_, _, err = node.Propose(t.Context(), entry)
	must(t, err)
	must(t, node.Stop(t.Context()))

	self, err := os.Executable()
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, "server", "--data-dir", c.DataDir, "--api-listen", c.APIListen, "--cluster-listen", c.ClusterListen, "--gossip-listen", "off")
	cmd.Env = append(os.Environ(), asDaemon+"=1")
	out, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != exitMend || !strings.Contains(string(out), "newer version") || strings.Contains(string(out), "goroutine ") {
		t.Errorf("exit code %d, want %d:\n%s", code, exitMend, out)
	}
}
