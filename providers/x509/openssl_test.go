package x509_test

import (
	"bufio"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// startOpenSSL starts a server of openssl and returns where it listens.
func startOpenSSL(t *testing.T, args ...string) (address string) {
	t.Helper()
	cmd := exec.Command("openssl", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe() // it ends when its input does
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if where, ok := strings.CutPrefix(lines.Text(), "ACCEPT "); ok {
			go func() {
				for lines.Scan() { // so that it does not wait for a reader
				}
			}()
			return where
		}
	}
	t.Fatal("openssl does not say where it listens")
	return ""
}
