package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"broker/api/types"
)

// town is a cluster of hosts that was begun as the README says.
type town struct {
	*hosts
	nodes    []*daemon
	token    string
	joinLine string
	login    string // command line
}

// dataDir is where each host's node keeps its data: namespaces share the file system.
func (h *hosts) dataDir(i int) string { return filepath.Join(h.home(i), "data") }

func (h *hosts) in(i int, line string) string {
	return "env BROKERD_DATA_DIR=" + h.dataDir(i) + " " + line
}

// found begins a cluster on the first host and has the others join by the line that was printed.
func found(t *testing.T, size int) *town {
	t.Helper()
	return foundOn(newHosts(t, size), size)
}

// foundOn does so on hosts that may be more.
func foundOn(h *hosts, size int) *town {
	h.t.Helper()
	w := &town{hosts: h}
	first := w.start(0, w.in(0, "brokerd server --init"))
	w.nodes = append(w.nodes, first)
	w.begun(first, "")
	for i := 1; i < size; i++ {
		w.nodes = append(w.nodes, w.join(i))
	}
	for _, d := range w.nodes {
		w.waitFor(d, `"msg":"serving"`)
	}
	return w
}

// begun reads what the first node shows once: since nobody watches its output, tokens stand in files.
func (w *town) begun(first *daemon, options string) {
	w.t.Helper()
	w.login = w.waitFor(first, `\n  (brokerctl login .*)`)[1]
	join := w.waitFor(first, `\n  (brokerd server --join \S+) --join-token-file (\S+)`)
	admin := w.waitFor(first, `\n  in the file (\S+)`)
	w.token = strings.TrimSpace(string(mustRead(w.t, admin[1])))
	w.joinLine = "BROKERD_JOIN_TOKEN=" + strings.TrimSpace(string(mustRead(w.t, join[2]))) + " " + join[1] + options
	if text := first.out.String(); strings.Contains(text, w.token) || strings.Contains(text, "brs_") || strings.Contains(text, "brkj_") {
		w.t.Errorf("where nobody watches, a secret is printed:\n%s", text)
	}
}

// join runs the printed line on a host.
func (w *town) join(i int) *daemon {
	w.t.Helper()
	variable, command, _ := strings.Cut(w.joinLine, " ")
	return w.start(i, "env "+variable+" BROKERD_DATA_DIR="+w.dataDir(i)+" "+command)
}

// status asks on a host how the cluster is.
func (w *town) status(i int) (s struct {
	Leader string `json:"leader"`
	Nodes  []struct {
		ID      string `json:"id"`
		Reached bool   `json:"reached"`
		Voter   bool   `json:"voter"`
	} `json:"nodes"`
}) {
	w.t.Helper()
	out, err := w.run(i, "", "brokerctl status -o json 2>/dev/null")
	if err == nil {
		err = json.Unmarshal([]byte(out), &s)
	}
	if err != nil {
		s.Leader = ""
	}
	return s
}

// waitWhole waits until all nodes vote, are reached, and one leads.
func (w *town) waitWhole(i, size int) {
	w.t.Helper()
	eventually(w.t, time.Minute, fmt.Sprintf("all %d nodes vote and one leads", size), func() bool {
		s := w.status(i)
		voters := 0
		for _, n := range s.Nodes {
			if n.Reached && n.Voter {
				voters++
			}
		}
		return s.Leader != "" && voters == size
	})
}

// Three hosts, three commands; then a client on another host logs in with what was printed. Five likewise. The nodes
// come back after all were off, without any option, and with those that a unit file keeps.
func TestBirth(t *testing.T) {
	t.Parallel()
	for _, size := range []int{3, 5} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			began := time.Now()
			w := found(t, size)
			last := size - 1
			out := w.mustRun(last, w.token, w.login)
			if !strings.Contains(out, "logged in to cluster") {
				t.Errorf("login says %s", out)
			}
			w.waitWhole(last, size)
			took := time.Since(began)
			t.Logf("%d nodes with TLS, and a client logged in, after %s", size, took.Round(10*time.Millisecond))
			if took > time.Minute {
				t.Errorf("it took %s, wanted under a minute", took)
			}
			w.mustRun(last, "", "brokerctl env create payments/production")
			if w.virtual {
				// Off loopback nothing speaks in clear.
				if out, err := w.run(last, "", "curl -sS -m 5 http://"+w.address(0)+":8420/healthz"); err == nil && !strings.Contains(out, "HTTPS") {
					t.Errorf("plain HTTP is answered: %s", out)
				}
			}
			for i, d := range w.nodes {
				w.stop(d)
				for _, name := range []string{"identity.json", "keyring.json"} {
					if info, err := os.Stat(filepath.Join(w.dataDir(i), name)); err != nil || info.Mode().Perm() != 0o600 {
						t.Errorf("%s of %s: %v, %v", name, d.host, info, err)
					}
				}
			}
			if size > 3 {
				return
			}
			w.nodes[0] = w.start(0, w.in(0, "brokerd server --init")) // a second time means nothing
			w.nodes[1] = w.join(1)                                    // options to join as well
			w.nodes[2] = w.start(2, w.in(2, "brokerd server"))
			w.waitWhole(last, size)
			if out := w.mustRun(last, "", "brokerctl env list"); !strings.Contains(out, "payments/production") {
				t.Errorf("after a restart there is %s", out)
			}
			if text := w.nodes[0].out.String(); strings.Contains(text, "brk_") {
				t.Errorf("a second --init prints a token:\n%s", text)
			}
		})
	}
}

// What goes wrong when joining is a sentence that says what to do, and leaves the cluster alone.
func TestJoiningWrongly(t *testing.T) {
	t.Parallel()
	w := found(t, 3)
	w.mustRun(0, w.token, w.login)
	w.waitWhole(0, 3)
	one := w.mustRun(0, "", "brokerctl cluster join-token create -q --uses 1")
	deleted := w.mustRun(0, "", "brokerctl cluster join-token create -q --uses 1")
	var ids []types.JoinToken
	if err := json.Unmarshal([]byte(w.mustRun(0, "", "brokerctl cluster join-token list -o json")), &ids); err != nil {
		t.Fatal(err)
	}
	w.mustRun(0, "", "brokerctl cluster join-token delete "+ids[len(ids)-1].ID)
	other := found(t, 1)
	_, foreign, _ := strings.Cut(strings.Fields(other.joinLine)[0], "=")

	address := w.address(0) + ":8421"
	attempt := func(node, token, more string) string {
		dir := filepath.Join(t.TempDir(), "data")
		listen := " --api-listen 127.0.0.1:0 --cluster-listen 127.0.0.1:0 --gossip-listen off"
		out, err := w.run(0, "", "BROKERD_JOIN_TOKEN="+token+" timeout 20 brokerd server --node-id "+node+" --data-dir "+dir+" --join "+address+listen+" "+more)
		if err == nil {
			t.Errorf("%s joined", node)
		}
		return out
	}
	flipped := one[:20] + "x" + one[21:]
	for name, c := range map[string]struct{ node, token, says string }{
		"no token":                  {"n9", "", "joining needs a join token"},
		"mangled":                   {"n9", flipped, "a character of it was changed"},
		"cut":                       {"n9", one[:len(one)-4], "not whole"},
		"an access token":           {"n9", w.token, "one begins with brkj_"},
		"deleted":                   {"n9", deleted, "not known here: it was deleted"},
		"of another cluster":        {"n9", foreign, "does not belong to the authority"},
		"the name of a living node": {w.names[1], one, "is a member already"},
		"a name that cannot be one": {"Node9", one, "cannot name a node"},
	} {
		t.Run(name, func(t *testing.T) {
			out := attempt(c.node, c.token, "")
			if !strings.Contains(out, c.says) || strings.Contains(out, "goroutine ") {
				t.Errorf("says %s\nwant %q", out, c.says)
			}
			if len(c.token) > 20 && strings.Contains(out, c.token[8:]) {
				t.Errorf("the token is printed: %s", out)
			}
		})
	}
	w.waitWhole(0, 3)
}

// Whoever may read a node's files gets an admin token there, and nobody else.
func TestAdminTokenOnTheHost(t *testing.T) {
	t.Parallel()
	w := found(t, 1)
	token := w.mustRun(0, "", "brokerd admin-token --ttl 10m --data-dir "+w.dataDir(0)+" 2>$HOME/login")
	if said := w.mustRun(0, "", "cat $HOME/login"); !strings.Contains(said, w.login) {
		t.Errorf("beside the token it says %q, want %q", said, w.login)
	}
	w.mustRun(0, token, w.login)
	if out := w.mustRun(0, "", "brokerctl event list -o json"); !strings.Contains(out, "token.created") || strings.Contains(out, token) {
		t.Errorf("the history says %s", out)
	}
	info, err := os.Stat(filepath.Join(w.dataDir(0), "brokerd.sock"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", info, err)
	}
	if out, err := w.run(0, "", "brokerd admin-token --data-dir "+t.TempDir()); err == nil || !strings.Contains(out, "does it run on this host") {
		t.Errorf("where no node runs: %v, %s", err, out)
	}
}

// A node that was let in and died before it was a member keeps its name from others until it is removed.
func TestJoiningCutShort(t *testing.T) {
	t.Parallel()
	w := found(t, 2)
	w.mustRun(0, w.token, w.login)
	w.waitWhole(0, 2)
	variable, command, _ := strings.Cut(w.joinLine, " ")
	// It never is, since nobody listens where it says that it does.
	lost := w.start(1, "env "+variable+" "+command+" --node-id lost --data-dir "+filepath.Join(w.home(1), "lost")+
		" --api-listen 127.0.0.1:0 --cluster-listen 127.0.0.1:0 --cluster-advertise "+w.address(0)+":1 --gossip-listen off")
	w.waitFor(lost, "the cluster has let this node in")
	w.kill(lost)
	if out, err := w.run(1, "", variable+" timeout 20 "+command+" --node-id lost --data-dir "+
		filepath.Join(t.TempDir(), "data")+" --api-listen 127.0.0.1:0 --cluster-listen 127.0.0.1:0 --gossip-listen off"); err == nil || !strings.Contains(out, "is a member already") {
		t.Errorf("another node under the name of one that was let in: %v\n%s", err, out)
	}
	w.mustRun(0, "", "brokerctl --yes cluster remove lost --reason 'it never came'")
	if out, err := w.run(0, "", "brokerctl --yes cluster remove lost --reason 'it never came'"); err == nil || !strings.Contains(out, "lost") {
		t.Errorf("removing it twice: %v\n%s", err, out)
	}
}
