package audit_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"broker/access/audit"
)

// killed is the variable that makes this program one that is to be killed: the path of its log.
const killed = "BROKER_AUDIT_TEST_KILLED"

// writeUntilKilled records requests and says which were recorded.
func writeUntilKilled(path string) {
	l, err := audit.New(audit.Config{Path: path, Node: "n1", Hasher: hasher{}, MaxSize: 50_000, Keep: 1000})
	if err != nil {
		panic(err)
	}
	var print sync.Mutex
	for p := range 8 {
		go func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d", p, i)
				if err := l.Request(context.Background(), request(id)); err != nil {
					panic(err)
				}
				print.Lock()
				fmt.Println(id)
				print.Unlock()
			}
		}()
	}
	select {}
}

// What was recorded before a kill is in the log, whenever it comes, and the chain goes on.
func TestKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	recorded := map[string]bool{}
	for round := range 5 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), killed+"="+path)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for count := 0; lines.Scan(); count++ {
			recorded[fmt.Sprint(round, " ", lines.Text())] = true
			if count == 200+137*round {
				if err := cmd.Process.Kill(); err != nil {
					t.Error(err)
				}
			}
		}
		_ = cmd.Wait() // it was killed
		// A part of a line, as when the machine stopped in the midst of a write.
		mustAppend(t, path, `{"v":1,"chain":"`+strings.Repeat("A", round))
	}
	mustClose(t, mustOpen(t, path, func(c *audit.Config) { c.Keep = 1000 }))
	report := mustVerify(t, path)
	if len(report.Gaps) != 5 || !report.Complete {
		t.Errorf("%+v", report)
	}
	round := -1
	for _, file := range report.Files {
		for _, r := range records(t, file) {
			switch r["type"] {
			case "start":
				round++
			case "request":
				delete(recorded, fmt.Sprint(round, " ", r["id"]))
			}
		}
	}
	if len(recorded) > 0 {
		t.Errorf("%d requests were recorded and are not in the log", len(recorded))
	}
}
