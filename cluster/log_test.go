package cluster

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
)

// What a library says about a connection that this side has closed is no error of the node's.
func TestClosedConnectionsAreNoErrors(t *testing.T) {
	var out strings.Builder
	log := slog.New(slog.NewTextHandler(&out, nil)) // no debugging
	raft := &raftLogger{out: log}
	raft.Error("failed to decode incoming command", "error", fmt.Errorf("read tcp: %w", net.ErrClosed))
	lines := &lineWriter{out: log}
	if _, err := lines.Write([]byte("[ERR] memberlist: Failed to send UDP ping: write udp: use of closed network connection\n")); err != nil {
		t.Fatal(err)
	}
	if out.Len() > 0 {
		t.Errorf("it says %s", &out)
	}
	raft.Error("failed to appendEntries to", "error", errors.New("connection refused"))
	if !strings.Contains(out.String(), "level=ERROR") {
		t.Errorf("what is trouble is not told: %s", &out)
	}
}
