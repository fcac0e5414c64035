package main

import (
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"broker/api/client"
	"broker/api/client/contexts"
	"broker/api/types"
)

// behindProxy returns a node that is asked by HTTPS and tells, as its address, one of plain HTTP on loopback. Nobody
// may send a token there: who listens on this machine may be anybody.
func behindProxy(t *testing.T) *httptest.Server {
	t.Helper()
	stranger := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a stranger was asked for %s, with %d bytes of a token", r.URL.Path, len(r.Header.Get("Authorization")))
	}))
	t.Cleanup(stranger.Close)
	node := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(types.Cluster{ID: "c1", Node: "n1", Leader: "n1", Members: []types.Member{
			{ID: "n1", APIAddress: stranger.URL, Voter: true}, {ID: "n2", APIAddress: stranger.URL + "/", Voter: true},
		}})
	}))
	t.Cleanup(node.Close)
	return node
}

func TestStatusSendsNoTokenInClear(t *testing.T) {
	node := behindProxy(t)
	c, err := client.New(client.Config{Addresses: []string{node.URL}, Token: "secret", Transport: node.Client().Transport})
	if err != nil {
		t.Fatal(err)
	}
	status, err := together(askAll(t.Context(), c, 5*time.Second))
	if err != nil || len(status.Nodes) != 2 {
		t.Fatalf("%+v, %v", status.Nodes, err)
	}
	if n := status.Nodes[1]; n.ID != "n2" || n.Reached || !strings.Contains(n.Error, "own host") {
		t.Errorf("a node whose address is of no use here: %+v", n)
	}
}

func TestLoginLearnsNoPlainAddress(t *testing.T) {
	node := behindProxy(t)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: node.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	s := session{t: t, env: map[string]string{"XDG_CONFIG_HOME": t.TempDir(), "BROKER_TOKEN": "secret"}}
	s.must("login", node.URL, "--name", "proxy", "--ca-cert", ca)
	path, err := contexts.Path(func(name string) string { return s.env[name] })
	if err != nil {
		t.Fatal(err)
	}
	file, err := contexts.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := file.Contexts["proxy"].Addresses; len(got) != 1 || got[0] != node.URL {
		t.Errorf("learnt %q", got)
	}
}
