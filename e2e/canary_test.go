package e2e

import (
	"bytes"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"broker/api/client"
	"broker/api/types"
)

// Secrets are in no file of any data directory, in no log, event, metric or error.
func TestCanary(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.client()
	canaries := map[string]string{"root password": h.rootPassword}
	var told strings.Builder // everything the API said that is not a lease's values
	tell := func(v any, err error) {
		told.WriteString(strings.TrimSpace(toText(t, v)))
		if err != nil {
			told.WriteString(err.Error())
		}
	}
	for i := range 20 {
		issued, err := h.issue(c, time.Hour, client.WithIdempotencyKey("canary-key-"+string(rune('a'+i))))
		if err != nil {
			t.Fatal(err)
		}
		canaries["leased password"] = value(issued, "DB_PASSWORD")
		tell(c.RevokeLease(t.Context(), issued.Lease.ID, types.RevokeSpec{}))
	}
	wrong := h.connectionSpec("wrong")
	canaries["wrong root password"] = "wrong-canary-5523"
	wrong.Settings["password"] = canaries["wrong root password"]
	tell(c.CreateConnection(t.Context(), wrong))
	unknown := h.connectionSpec("unknown")
	unknown.Settings["pasword"] = h.rootPassword
	tell(c.CreateConnection(t.Context(), unknown))
	tell(c.GetConnection(t.Context(), "orders-db"))
	tell(c.ListEvents(t.Context(), client.EventQuery{}, client.ListOptions{Limit: 1000}))
	for n := 1; n <= 3; n++ {
		tell(h.client(n).GetCluster(t.Context()))
		told.WriteString(h.metrics(n))
	}
	h.mustDevcluster("down")
	told.WriteString(readAll(t, h.dir, "admin-token", "env"))
	log, err := os.ReadFile(h.pg.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	for name, canary := range canaries {
		if canary == "" {
			t.Errorf("there is no %s to look for", name)
		}
		if strings.Contains(told.String(), canary) {
			t.Errorf("the %s is in a file of the cluster or in what it said", name)
		}
		if name != "root password" && bytes.Contains(log, []byte(canary)) {
			t.Errorf("the %s is in the database's log", name)
		}
	}
	if strings.Contains(told.String(), h.token) {
		t.Error("the admin token is in a file of the cluster or in what it said")
	}
	t.Logf("looked through %d bytes", told.Len())
}

// metrics returns what a node shows of itself to who has a token.
func (h *house) metrics(n int) string {
	h.t.Helper()
	request, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, h.addrs[n-1]+"/metrics", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+h.token)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		h.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || !bytes.Contains(text, []byte("broker_raft_term")) {
		h.t.Fatalf("metrics of node %d: %s, %v", n, answer.Status, err)
	}
	return string(text)
}

// readAll returns the content of every file below a directory but those named.
func readAll(t *testing.T, dir string, but ...string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		for _, name := range but {
			if d.Name() == name {
				return nil
			}
		}
		data, err := os.ReadFile(path)
		all.Write(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
