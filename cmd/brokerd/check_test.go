package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"broker/cluster"
	"broker/cluster/trust"
)

// checked runs brokerd check and returns its exit code and report.
func checked(t *testing.T, args ...string) (int, report) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), append([]string{"check", "-o", "json"}, args...), &stdout, &stderr)
	var r report
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		t.Fatalf("exit code %d, %v:\n%s%s", code, err, stdout.String(), stderr.String())
	}
	return code, r
}

// of returns what the checks of a name came to.
func (r report) of(check string) (result, says string) {
	for _, f := range r.Checks {
		if f.Check == check {
			result, says = f.Result, says+f.Says+"\n"
		}
	}
	return result, says
}

// at returns the options of a node at free ports.
func at(t *testing.T, dir string, more ...string) []string {
	t.Helper()
	return append([]string{
		"--node-id", "n1", "--data-dir", dir,
		"--api-listen", freeAddress(t), "--cluster-listen", freeAddress(t), "--gossip-listen", freeAddress(t),
	}, more...)
}

func TestCheck(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer busy.Close()
	file := filepath.Join(t.TempDir(), "brokerd.yaml")
	must(t, os.WriteFile(file, []byte("datadir: /x\n"), 0o600))
	nobody := freeAddress(t)
	token := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(token, []byte(trust.NewJoinToken(trust.Fingerprint{}).Reveal()), 0o600))
	template := usedDir(t)
	used := func(t *testing.T, damage func(dir string)) string {
		dir := filepath.Join(t.TempDir(), "data")
		must(t, os.CopyFS(dir, os.DirFS(template)))
		private(t, dir)
		damage(dir)
		return dir
	}
	fresh := func(t *testing.T) string { return filepath.Join(t.TempDir(), "data") }
	snapshotsIn := func(dir func(t *testing.T) string) func(t *testing.T) []string {
		return func(t *testing.T) []string {
			return at(t, fresh(t), "--init", "--snapshot-dir", dir(t), "--snapshot-interval", "6h")
		}
	}
	for name, tc := range map[string]struct {
		args   func(t *testing.T) []string
		check  string
		result string
		says   string
	}{
		"a new cluster": {func(t *testing.T) []string { return at(t, fresh(t), "--init") }, "identity", resultOK, "begins a cluster"},
		"a used directory": {func(t *testing.T) []string { return at(t, used(t, func(string) {})) },
			"identity", resultOK, "n1 of cluster"},
		"unknown key":   {func(*testing.T) []string { return []string{"--config", file} }, "configuration", resultFailed, `no option "datadir"`},
		"contradiction": {func(t *testing.T) []string { return at(t, fresh(t), "--init", "--join", nobody) }, "configuration", resultFailed, "not both"},
		"neither":       {func(t *testing.T) []string { return at(t, fresh(t)) }, "identity", resultFailed, "--init"},
		"another's name": {func(t *testing.T) []string { return append(at(t, used(t, func(string) {})), "--node-id", "n2") },
			"identity", resultFailed, `belongs to node "n1"`},
		"damaged identity": {func(t *testing.T) []string {
			return at(t, used(t, func(dir string) { rewrite(t, dir, "node.json", half) }))
		}, "identity", resultFailed, "put it back"},
		"lost key": {func(t *testing.T) []string {
			return at(t, used(t, func(dir string) { must(t, os.Remove(filepath.Join(dir, trust.FileName))) }), "--init")
		}, "identity", resultFailed, "which has its key: restore it"},
		"open directory": {func(t *testing.T) []string { return at(t, used(t, func(dir string) { must(t, os.Chmod(dir, 0o750)) })) },
			"data directory", resultFailed, "chmod go="},
		"open file": {func(t *testing.T) []string {
			return at(t, used(t, func(dir string) { must(t, os.Chmod(filepath.Join(dir, "raft.journal0"), 0o644)) }))
		}, "data directory", resultFailed, "raft.journal0"},
		"directory is a file": {func(t *testing.T) []string { return at(t, file, "--init") }, "data directory", resultFailed, "file"},
		"key damaged": {func(t *testing.T) []string {
			return at(t, used(t, func(dir string) { rewrite(t, dir, "identity.json", half) }))
		}, "identity", resultFailed, "damaged"},
		"no join token": {func(t *testing.T) []string { return at(t, fresh(t), "--join", nobody) }, "join token", resultFailed, "brokerctl cluster join-token create"},
		"no key file": {func(t *testing.T) []string {
			return at(t, used(t, func(dir string) { must(t, os.Remove(filepath.Join(dir, "keyring.json"))) }))
		}, "key file", resultFailed, "no key file"},
		"key file damaged": {func(t *testing.T) []string {
			return at(t, used(t, func(dir string) { rewrite(t, dir, "keyring.json", half) }))
		}, "key file", resultFailed, "not a key file"},
		"port in use": {func(t *testing.T) []string {
			return append(at(t, fresh(t), "--init"), "--api-listen", busy.Addr().String())
		},
			"API port", resultFailed, "another process listens there"},
		"nobody to join": {func(t *testing.T) []string { return at(t, fresh(t), "--join", nobody, "--join-token-file", token) }, "peers", resultFailed, "none of the nodes"},
		"nobody there, but a member": {func(t *testing.T) []string { return at(t, used(t, func(string) {}), "--join", nobody) },
			"peers", resultWarning, "start that node"},
		"small disk": {func(t *testing.T) []string { return at(t, filepath.Join(small(t, "1m", ""), "data"), "--init") },
			"disk space", resultFailed, "make room"},
		"snapshots":        {snapshotsIn(func(t *testing.T) string { return t.TempDir() + "/new/deep" }), "snapshots", resultOK, "will be made"},
		"snapshots beside": {snapshotsIn(func(t *testing.T) string { dir := t.TempDir(); private(t, dir); return dir }), "snapshots", resultOK, "every 6h"},
		"snapshots, open": {snapshotsIn(func(t *testing.T) string {
			dir := t.TempDir()
			must(t, os.Chmod(dir, 0o770))
			return dir
		}), "snapshots", resultWarning, "chmod go="},
		"snapshots in a file":       {snapshotsIn(func(*testing.T) string { return file }), "snapshots", resultFailed, "name a directory"},
		"snapshots below a file":    {snapshotsIn(func(*testing.T) string { return file + "/x" }), "snapshots", resultFailed, "name a directory"},
		"snapshots where none fits": {snapshotsIn(func(t *testing.T) string { return small(t, "1m", "") }), "snapshots", resultFailed, "make room"},
		"snapshots where nothing may be written": {snapshotsIn(func(t *testing.T) string { return small(t, "900m", ",ro") + "/x" }),
			"snapshots", resultFailed, "cannot be made"},
		"an audit log": {func(t *testing.T) []string { return at(t, fresh(t), "--init") }, "audit log", resultOK, "audit/audit.log, 30 files of 100MiB"},
		"an audit log that others read": {func(t *testing.T) []string {
			path := filepath.Join(t.TempDir(), "audit.log")
			must(t, os.WriteFile(path, nil, 0o644))
			return at(t, fresh(t), "--init", "--audit-file", path)
		}, "audit log", resultWarning, "chmod go="},
		"an audit log that is a directory": {func(t *testing.T) []string { return at(t, fresh(t), "--init", "--audit-file", t.TempDir()) }, "audit log", resultFailed, "is no file"},
		"an audit log below a file":        {func(t *testing.T) []string { return at(t, fresh(t), "--init", "--audit-file", file+"/x/audit.log") }, "audit log", resultFailed, "name a file"},
		"an audit log where none fits": {func(t *testing.T) []string {
			return at(t, fresh(t), "--init", "--audit-file", small(t, "1m", "")+"/audit.log")
		}, "audit log", resultFailed, "requests are refused"},
		"an audit log where few fit": {func(t *testing.T) []string {
			return at(t, fresh(t), "--init", "--audit-file", small(t, "900m", "")+"/audit.log")
		}, "audit log", resultWarning, "give it room, or keep less"},
		"an audit log where nothing may be written": {func(t *testing.T) []string {
			return at(t, fresh(t), "--init", "--audit-file", small(t, "900m", ",ro")+"/x/audit.log")
		}, "audit log", resultFailed, "cannot be written"},
		"a receiver whom nobody knows": {func(t *testing.T) []string {
			return at(t, fresh(t), "--init", "--audit-syslog", "tls://127.0.0.1:6514", "--audit-syslog-ca", file)
		}, "audit log", resultFailed, "no certificate"},
		"snapshots at no time": {func(t *testing.T) []string {
			return at(t, fresh(t), "--init", "--snapshot-dir", t.TempDir(), "--snapshot-interval", "0")
		},
			"snapshots", resultWarning, "--snapshot-interval"},
		"disk in memory": {func(t *testing.T) []string { return at(t, filepath.Join(small(t, "900m", ""), "data"), "--init") },
			"file system", resultWarning, "tmpfs"},
	} {
		t.Run(name, func(t *testing.T) {
			code, r := checked(t, tc.args(t)...)
			if result, says := r.of(tc.check); result != tc.result || !strings.Contains(says, tc.says) {
				t.Errorf("%s is %s, want %s with %q:\n%+v", tc.check, result, tc.result, tc.says, r)
			}
			failed := slices.ContainsFunc(r.Checks, func(f finding) bool { return f.Result == resultFailed })
			if (code != 0) != failed || failed != (r.Result == resultFailed) {
				t.Errorf("exit code %d, result %s:\n%+v", code, r.Result, r)
			}
			if tc.result != resultFailed && failed {
				t.Errorf("something else failed:\n%+v", r)
			}
		})
	}
}

// Beside the running node a check disturbs nothing and leaves nothing behind.
func TestCheckBesideARunningNode(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	c := loneConfig(t, dir)
	n := mustNode(t, c)
	defer n.stop()
	options := []string{"--node-id", "n1", "--data-dir", dir, "--api-listen", c.APIListen, "--cluster-listen", c.ClusterListen, "--gossip-listen", "off"}
	before := names(t, dir)
	code, r := checked(t, options...)
	if code != 0 {
		t.Errorf("exit code %d: %+v", code, r)
	}
	for check, want := range map[string]string{
		"identity": fmt.Sprintf("process %d", os.Getpid()), "API port": "held", "cluster port": "held", "data directory": "mode 0700",
	} {
		if result, says := r.of(check); result != resultOK || !strings.Contains(says, want) {
			t.Errorf("%s: %s %s", check, result, says)
		}
	}
	if d := cmp.Diff(before, names(t, dir)); d != "" {
		t.Errorf("files (-before +after):\n%s", d)
	}
	if !n.broker.Leading() {
		t.Error("the node does not lead any more")
	}
	if code, r := checked(t, append(options, "--health")...); code != 0 {
		t.Errorf("health: %d, %+v", code, r)
	}
	if code, r := checked(t, "--health", "--api-listen", freeAddress(t)); code != 1 {
		t.Errorf("health where nobody is: %d, %+v", code, r)
	}

	// Another node finds this one, and a directory of another cluster notices.
	other := filepath.Join(t.TempDir(), "other")
	_, r = checked(t, at(t, other, "--node-id", "n2", "--join", c.ClusterListen, "--join-token-file", c.JoinTokenFile)...)
	if result, says := r.of("peers"); result != resultOK || !strings.Contains(says, n.cluster.ClusterID()) {
		t.Errorf("peers: %s %s", result, says)
	}
	_, r = checked(t, at(t, usedDir(t), "--join", c.ClusterListen)...)
	if result, says := r.of("peers"); result != resultFailed || !strings.Contains(says, "its own cluster") && !strings.Contains(says, "own cluster") {
		t.Errorf("peers of another cluster: %s %s", result, says)
	}
}

func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		list = append(list, path)
		return err
	}))
	return list
}

func TestCheckText(t *testing.T) {
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), append([]string{"check"}, at(t, filepath.Join(t.TempDir(), "data"))...), &stdout, &stderr)
	if code != 1 || !strings.Contains(stdout.String(), "FAILED   identity       ") || !strings.Contains(stdout.String(), "ok       open files") {
		t.Errorf("exit code %d:\n%s", code, stdout.String())
	}
	if code := run(t.Context(), []string{"check", "-o", "xml"}, &stdout, &stderr); code != exitUsage {
		t.Errorf("a format that is not there: %d", code)
	}
}

func TestCheckClock(t *testing.T) {
	now := time.Now()
	for name, tc := range map[string]struct {
		peer  heard
		wrong bool
	}{
		"right":         {heard{Greeting: cluster.Greeting{At: now.Truncate(time.Second)}, at: now}, false},
		"ahead":         {heard{Greeting: cluster.Greeting{At: now.Add(5 * time.Minute).Truncate(time.Second)}, at: now}, true},
		"behind":        {heard{Greeting: cluster.Greeting{At: now.Add(-5 * time.Minute).Truncate(time.Second)}, at: now}, true},
		"perhaps wrong": {heard{Greeting: cluster.Greeting{At: now.Add(-4 * time.Second).Truncate(time.Second)}, at: now, after: 3 * time.Second}, false},
		"away":          {heard{err: errors.New("away"), at: now}, false},
		"did not say":   {heard{at: now}, false},
	} {
		r := &report{}
		r.checkClock([]heard{tc.peer})
		if result, says := r.of("clock"); (result == resultFailed) != tc.wrong {
			t.Errorf("%s: %s %s", name, result, says)
		}
	}
}

func TestCheckCertificate(t *testing.T) {
	now := time.Now()
	const day = 24 * time.Hour
	good := func(*x509.Certificate) {}
	for name, tc := range map[string]struct {
		change func(*x509.Certificate)
		damage func(cert, key string)
		result string
		says   string
	}{
		"good":         {good, nil, resultOK, "until"},
		"ends soon":    {func(c *x509.Certificate) { c.NotAfter = now.Add(day) }, nil, resultWarning, "renew it"},
		"ended":        {func(c *x509.Certificate) { c.NotAfter = now.Add(-day) }, nil, resultFailed, "ended at"},
		"not yet":      {func(c *x509.Certificate) { c.NotBefore = now.Add(day) }, nil, resultFailed, "clock"},
		"wrong name":   {func(c *x509.Certificate) { c.DNSNames = []string{"other.example"} }, nil, resultWarning, "not valid for broker.example:"},
		"for clients":  {func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, nil, resultFailed, "serverAuth"},
		"open key":     {good, func(_, key string) { must(t, os.Chmod(key, 0o644)) }, resultFailed, "chmod o="},
		"no key":       {good, func(_, key string) { must(t, os.Remove(key)) }, resultFailed, "no such file"},
		"no match":     {good, func(cert, _ string) { otherCert, _ := certificate(t, good); must(t, os.Rename(otherCert, cert)) }, resultFailed, "no pair"},
		"not a secret": {good, func(cert, _ string) { must(t, os.WriteFile(cert, []byte("nonsense"), 0o600)) }, resultFailed, "no pair"},
	} {
		t.Run(name, func(t *testing.T) {
			cert, key := certificate(t, tc.change)
			if tc.damage != nil {
				tc.damage(cert, key)
			}
			r := &report{}
			r.checkCertificate("API certificate", cert, key, []string{"broker.example", "10.0.0.1"}, now)
			if result, says := r.of("API certificate"); result != tc.result || !strings.Contains(says, tc.says) {
				t.Errorf("%s %s, want %s with %q", result, says, tc.result, tc.says)
			}
		})
	}
}

// certificate writes a certificate that has signed itself, and its key.
func certificate(t *testing.T, change func(*x509.Certificate)) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "broker"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
		DNSNames: []string{"broker.example"}, IPAddresses: []net.IP{net.ParseIP("10.0.0.1")},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	must(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	must(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	return certFile, keyFile
}
