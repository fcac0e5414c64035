package e2e

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A daemon that crashes leaves no core, and what it says about its goroutines holds no secret: not the token of requests
// that it was answering, and not its keys.
func TestCrashTellsNoSecret(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGQUIT, syscall.SIGABRT} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			dir, ports := t.TempDir(), []string{freeAddress(t), freeAddress(t)}
			data, tokenFile := filepath.Join(dir, "data"), filepath.Join(dir, "token")
			// Cores are allowed, so that it is the daemon that forbids them.
			cmd := exec.Command("sh", "-c", `ulimit -c unlimited 2>/dev/null; exec "$@"`, "sh", filepath.Join(binDir, "brokerd"),
				"server", "--init", "--data-dir", data, "--api-listen", ports[0], "--cluster-listen", ports[1], "--gossip-listen", "off",
				"--timing", "lan", "--admin-token-file", tokenFile)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "GOTRACEBACK=crash")
			var said bytes.Buffer
			cmd.Stdout, cmd.Stderr = &said, &said
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended, if all is well

			var token string
			ask := func(path string) error {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+ports[0]+path, nil)
				if err != nil {
					return err
				}
				request.Header.Set("Authorization", "Bearer "+token)
				answer, err := http.DefaultClient.Do(request)
				if err != nil {
					return err
				}
				defer answer.Body.Close()
				if answer.StatusCode != http.StatusOK {
					return fmt.Errorf("status %d", answer.StatusCode)
				}
				return nil
			}
			eventually(t, time.Minute, "it serves", func() bool {
				text, err := os.ReadFile(tokenFile)
				token = strings.TrimSpace(string(text))
				return err == nil && ask("/api/v1/seal") == nil
			})
			limits := string(mustRead(t, fmt.Sprintf("/proc/%d/limits", cmd.Process.Pid)))
			if fields := strings.Fields(strings.SplitAfter(limits, "Max core file size")[1]); fields[0] != "0" || fields[1] != "0" {
				t.Errorf("the limits are\n%s", limits)
			}
			key := sealingKeysIn(t, filepath.Join(data, "keyring.json"))[0]
			raw, err := base64.StdEncoding.DecodeString(key)
			if err != nil {
				t.Fatal(err)
			}
			secrets := map[string]string{
				"token": token, "token's end": token[len(token)-20:], "key": key, "key's bytes": string(raw[len(raw)-32:]),
				"key in digits": fmt.Sprintf("%x", raw[len(raw)-32:]), "a word of the key": fmt.Sprintf("0x%x", reversed(raw[len(raw)-8:])),
			}

			var asking sync.WaitGroup
			for range 8 { // so that goroutines hold the token
				asking.Go(func() {
					for ask("/api/v1/seal") == nil { //nolint:revive // until it is dead
					}
				})
			}
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // by the signal
			asking.Wait()
			if !strings.Contains(said.String(), "goroutine ") {
				t.Fatalf("it did not crash:\n%s", said.String())
			}
			for what, secret := range secrets {
				if strings.Contains(said.String(), secret) {
					t.Errorf("the %s is in what was said", what)
				}
			}
			left, err := filepath.Glob(filepath.Join(dir, "*core*"))
			if err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func reversed(in []byte) (out []byte) {
	for _, b := range in {
		out = append([]byte{b}, out...)
	}
	return out
}
