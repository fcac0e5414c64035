package main

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const deployDir = "../../deploy"

// The unit is one that systemd takes, as good as locked up, and its numbers fit the daemon's.
func TestSystemdUnit(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(deployDir, "systemd", "brokerd.service"))
	must(t, err)
	text := string(data)
	setting := func(name string) string {
		t.Helper()
		m := regexp.MustCompile(`(?m)^` + name + `=(.*)$`).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("%s is missing", name)
		}
		return m[1]
	}
	if seconds, err := strconv.Atoi(setting("TimeoutStopSec")); err != nil || time.Duration(seconds)*time.Second <= stopTimeout {
		t.Errorf("systemd kills a node after %d s that may take %s to stop", seconds, stopTimeout)
	}
	if got, want := setting("RestartPreventExitStatus"), fmt.Sprintf("%d %d", exitUsage, exitMend); got != want {
		t.Errorf("RestartPreventExitStatus=%s, want %s", got, want)
	}
	if strings.Contains(text, "LimitAS=") {
		t.Error("the state file needs address space")
	}
	if !strings.HasSuffix(defaultDataDir, "/"+setting("StateDirectory")) {
		t.Errorf("StateDirectory is not where %s is", defaultDataDir)
	}

	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Fatal("systemd-analyze is not in PATH: scripts/need systemd installs it")
	}
	unit := filepath.Join(t.TempDir(), "brokerd.service")
	self, err := os.Executable() // /usr/bin/brokerd is not there
	must(t, err)
	must(t, os.WriteFile(unit, []byte(strings.Replace(text, "/usr/bin/brokerd", self, 1)), 0o600))
	if out, err := exec.Command("systemd-analyze", "verify", unit).CombinedOutput(); err != nil || strings.Contains(string(out), "brokerd.service") {
		t.Errorf("verify: %v\n%s", err, out)
	}
	// The threshold is in tenths: what an ordinary service comes to is 9.6.
	if out, err := exec.Command("systemd-analyze", "security", "--no-pager", "--offline=yes", "--threshold=15", unit).CombinedOutput(); err != nil {
		t.Errorf("security: %v\n%s", err, out)
	}
}

// The example configurations are ones that a node takes, for a cluster that works.
func TestExampleConfiguration(t *testing.T) {
	dir := t.TempDir()
	ports := map[string]string{}
	example := func(node int) string {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(deployDir, "example", fmt.Sprintf("n%d.yaml", node)))
		must(t, err)
		original := filepath.Join(dir, fmt.Sprintf("original%d.yaml", node))
		must(t, os.WriteFile(original, data, 0o600))
		c := optionsOf(t, "--config", original)
		if c.NodeID != fmt.Sprintf("n%d", node) || !c.servesTLS() || c.ClusterAdvertise != fmt.Sprintf("10.20.0.1%d:8421", node) {
			t.Errorf("n%d.yaml configures %+v at %s", node, c, c.ClusterAdvertise)
		}
		// Here there is one machine, and its directories are others.
		text := strings.ReplaceAll(string(data), "/var/lib/broker", filepath.Join(dir, c.NodeID))
		text = strings.ReplaceAll(text, "/etc/broker/join-token", filepath.Join(dir, "n1", "join-token"))
		text = regexp.MustCompile(`10\.20\.0\.1\d:8421`).ReplaceAllStringFunc(text, func(address string) string {
			if ports[address] == "" {
				ports[address] = freeAddress(t)
			}
			return ports[address]
		})
		text = regexp.MustCompile(`(?m)^listen: .*`).ReplaceAllString(text, "listen: 127.0.0.1\napi_tls: on\ngossip_listen: "+freeAddress(t)+"\napi_listen: "+freeAddress(t))
		own := fmt.Sprintf("10.20.0.1%d:8421", node)
		if ports[own] == "" {
			ports[own] = freeAddress(t)
		}
		text += "\ncluster_listen: " + ports[own] + "\n"
		path := filepath.Join(dir, fmt.Sprintf("n%d.yaml", node))
		must(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	for node := 1; node <= 3; node++ {
		path := example(node)
		if code, r := checked(t, "--config", path); code != 0 {
			t.Errorf("checking n%d.yaml: %d, %+v", node, code, r)
		}
		c := optionsOf(t, "--config", path)
		n, err := startNode(t.Context(), c, c.logger(), os.Stderr)
		if err != nil {
			t.Fatalf("starting with n%d.yaml: %v", node, err)
		}
		defer n.stop()
		poll(t, "a leader", func() bool { return n.cluster.Status().LeaderID != "" })
		if code, r := checked(t, "--config", path, "--health"); code != 0 {
			t.Errorf("health of n%d: %d, %+v", node, code, r)
		}
	}
}

// The image holds one file: it must need no other. The line that builds it is the Dockerfile's.
func TestStaticBuild(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the daemon")
	}
	data, err := os.ReadFile(filepath.Join(deployDir, "docker", "Dockerfile"))
	must(t, err)
	line := regexp.MustCompile(`RUN (CGO_ENABLED=0 go build .*)\n`).FindStringSubmatch(string(data))
	if line == nil {
		t.Fatal("the Dockerfile builds nothing")
	}
	root := t.TempDir()
	build := exec.Command("sh", "-c", strings.Replace(line[1], "/out/", root+"/", 1))
	build.Dir = "../.."
	build.Env = append(os.Environ(), "VERSION=test")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", line[1], err, out)
	}
	for _, name := range []string{"brokerd", "brokerctl"} {
		f, err := elf.Open(filepath.Join(root, name))
		must(t, err)
		libraries, err := f.ImportedLibraries()
		if err != nil || len(libraries) > 0 {
			t.Errorf("%s needs %v (%v)", name, libraries, err)
		}
		for _, p := range f.Progs {
			if p.Type == elf.PT_INTERP {
				t.Errorf("%s needs a dynamic linker", name)
			}
		}
		must(t, f.Close())
	}
	if os.Getuid() != 0 {
		t.Skip("an empty root needs root")
	}
	must(t, os.Chmod(root, 0o755))
	must(t, os.Mkdir(filepath.Join(root, "data"), 0o700))
	must(t, os.Chown(filepath.Join(root, "data"), 65532, 65532))
	inside := func(args ...string) (string, error) {
		cmd := exec.Command("/brokerd", args...)
		cmd.Env = []string{"BROKERD_NODE_ID=n1", "BROKERD_DATA_DIR=/data", "BROKERD_INIT=true", "BROKERD_LISTEN=127.0.0.1",
			"BROKERD_API_LISTEN=" + freeAddress(t), "BROKERD_CLUSTER_LISTEN=" + freeAddress(t), "BROKERD_GOSSIP_LISTEN=" + freeAddress(t)}
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		err := cmd.Run()
		return out.String(), err
	}
	if out, err := inside("--version"); err != nil || !strings.Contains(out, "test") {
		t.Errorf("version: %v\n%s", err, out)
	}
	if out, err := inside("check"); err != nil || !strings.Contains(out, "mode 0700") {
		t.Errorf("check: %v\n%s", err, out)
	}
}
