package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// hosts are machines of their own, as far as the kernel lets us: network namespaces with an address each on one
// switch and a host name. Where it does not, they are addresses of loopback.
type hosts struct {
	t       *testing.T
	dir     string
	names   []string
	virtual bool                 // namespaces
	number  int                  // among all of this process
	tag     string               // of the names that the machine knows
	options func(i int) []string // more variables of a host's processes; nil: none
}

// built counts them, since names of namespaces are the machine's.
var built atomic.Int64

func newHosts(t *testing.T, count int) *hosts {
	t.Helper()
	h := newLocalHosts(t, count)
	h.virtual = true
	if err := h.build(); err != nil {
		t.Logf("no network namespaces here (%v): hosts are addresses of loopback", err)
		h.raze()
		h.virtual = false
	}
	t.Cleanup(h.raze)
	return h
}

// newLocalHosts returns addresses of loopback.
func newLocalHosts(t *testing.T, count int) *hosts {
	t.Helper()
	number := int(built.Add(1))
	h := &hosts{t: t, dir: t.TempDir(), number: number, tag: fmt.Sprintf("%x.%d", os.Getpid()&0xffff, number)}
	for i := range count {
		h.names = append(h.names, fmt.Sprintf("host%d", i+1))
	}
	return h
}

// build makes a switch, and for each host a namespace with a cable to it.
func (h *hosts) build() error {
	ip := func(args ...string) error {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
		}
		return nil
	}
	if err := ip("link", "add", h.bridge(), "type", "bridge"); err != nil {
		return err
	}
	if err := ip("link", "set", h.bridge(), "up"); err != nil {
		return err
	}
	for i := range h.names {
		ns, outside := h.namespace(i), h.cable(i)
		for _, args := range [][]string{
			{"netns", "add", ns},
			{"link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", ns},
			{"link", "set", outside, "master", h.bridge(), "up"},
			{"-n", ns, "addr", "add", h.address(i) + "/24", "dev", "eth0"},
			{"-n", ns, "link", "set", "eth0", "up"},
			{"-n", ns, "link", "set", "lo", "up"},
		} {
			if err := ip(args...); err != nil {
				return err
			}
		}
	}
	return nil
}

func (h *hosts) raze() {
	for i := range h.names {
		_ = exec.Command("ip", "netns", "del", h.namespace(i)).Run()
	}
	_ = exec.Command("ip", "link", "del", h.bridge()).Run()
}

func (h *hosts) bridge() string         { return "br" + h.tag }
func (h *hosts) cable(i int) string     { return fmt.Sprintf("bv%s%d", h.tag, i) }
func (h *hosts) namespace(i int) string { return fmt.Sprintf("broker%s-%d", h.tag, i) }

// address is how others reach a host.
func (h *hosts) address(i int) string {
	if h.virtual {
		return fmt.Sprintf("10.213.%d.%d", h.number, i+1)
	}
	return fmt.Sprintf("127.%d.%d.%d", loopback(), h.number, i+1)
}

// loopback tells processes apart that test at the same time.
func loopback() int { return 1 + os.Getpid()%250 }

// command is a command line on a host.
func (h *hosts) command(i int, line string) *exec.Cmd {
	// Whoever begins the cluster does everything alone here.
	script := fmt.Sprintf("export PATH=%s:$PATH HOME=%s XDG_CONFIG_HOME= BROKERD_ADMIN_ROLES=developer; %s", binDir, h.home(i), line)
	var cmd *exec.Cmd
	if h.virtual {
		cmd = exec.Command("ip", "netns", "exec", h.namespace(i), "unshare", "--uts", "bash", "-c", "hostname "+h.names[i]+"; "+script)
	} else {
		cmd = exec.Command("bash", "-c", "export BROKERD_NODE_ID="+h.names[i]+" BROKERD_LISTEN="+h.address(i)+" BROKERD_API_TLS=on; "+script)
	}
	if h.options != nil {
		cmd.Env = append(os.Environ(), h.options(i)...)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

func (h *hosts) home(i int) string { return filepath.Join(h.dir, h.names[i]) }

// mustRun runs a command line on a host and returns what it printed.
func (h *hosts) mustRun(i int, stdin, line string) string {
	h.t.Helper()
	out, err := h.run(i, stdin, line)
	if err != nil {
		h.t.Fatalf("%s: %s: %v\n%s", h.names[i], line, err, out)
	}
	return out
}

func (h *hosts) run(i int, stdin, line string) (string, error) {
	cmd := h.command(i, line)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// daemon is a brokerd on a host.
type daemon struct {
	cmd  *exec.Cmd
	out  *output
	host string
	done chan error
}

// output is what a process has printed so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// start runs a command line of brokerd on a host until the test ends.
func (h *hosts) start(i int, line string) *daemon {
	h.t.Helper()
	if err := os.MkdirAll(h.home(i), 0o700); err != nil {
		h.t.Fatal(err)
	}
	d := &daemon{cmd: h.command(i, "exec "+line), out: &output{}, host: h.names[i], done: make(chan error, 1)}
	d.cmd.Stdout, d.cmd.Stderr = d.out, d.out
	if err := d.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	go func() { d.done <- d.cmd.Wait() }()
	h.t.Cleanup(func() {
		_ = syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL)
		if h.t.Failed() {
			text := d.out.String()
			h.t.Logf("%s printed:\n%s", d.host, text[max(0, len(text)-4000):])
		}
	})
	return d
}

// stop ends a daemon gracefully.
func (h *hosts) stop(d *daemon) {
	h.t.Helper()
	if err := syscall.Kill(-d.cmd.Process.Pid, syscall.SIGTERM); err != nil {
		h.t.Fatal(err)
	}
	select {
	case err := <-d.done:
		if err != nil {
			h.t.Errorf("%s stopped with %v", d.host, err)
		}
	case <-time.After(30 * time.Second):
		h.t.Errorf("%s does not stop", d.host)
	}
}

// kill ends a daemon as a crash would.
func (h *hosts) kill(d *daemon) {
	h.t.Helper()
	if err := syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL); err != nil {
		h.t.Fatal(err)
	}
	<-d.done
}

// waitFor polls what a daemon prints.
func (h *hosts) waitFor(d *daemon, pattern string) []string {
	h.t.Helper()
	re := regexp.MustCompile(pattern)
	deadline := time.Now().Add(45 * time.Second)
	for time.Now().Before(deadline) {
		if found := re.FindStringSubmatch(d.out.String()); found != nil {
			return found
		}
		select {
		case err := <-d.done:
			d.done <- err
			h.t.Fatalf("%s ended (%v) before it printed %s:\n%s", d.host, err, pattern, d.out)
		case <-time.After(20 * time.Millisecond):
		}
	}
	h.t.Fatalf("%s does not print %s:\n%s", d.host, pattern, d.out)
	return nil
}
