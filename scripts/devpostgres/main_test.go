package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestUpAndDown(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	if err := run(t.Context(), []string{"up", "--dir", dir}); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(dir, "env"))
	if err != nil {
		t.Fatal(err)
	}
	exports := map[string]string{}
	for line := range strings.Lines(string(content)) {
		key, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		exports[key] = value
	}
	address := net.JoinHostPort(exports["DEVPOSTGRES_HOST"], exports["DEVPOSTGRES_PORT"])
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		t.Fatalf("the server does not serve: %v", err)
	}
	conn.Close()
	if err := run(t.Context(), []string{"up", "--dir", dir}); err == nil {
		t.Error("a second server was started in the same directory")
	}
	if err := run(t.Context(), []string{"down", "--dir", dir}); err != nil {
		t.Fatal(err)
	}
	if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
		conn.Close()
		t.Error("the server serves on after down")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left in the directory: %v, %v", left, err)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"up"}, {"sideways", "--dir", "x"}, {"up", "--dir", "x", "more"}, {"down", "--dir", t.TempDir()}} {
		if err := run(t.Context(), args); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}
