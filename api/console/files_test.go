package console_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"broker/api/apitest"
	"broker/api/console"
	"broker/api/types"
)

// A file is sent while it is read, so that a long history costs no memory, and one that cannot be read to its end is cut off.
func TestFilesAreStreams(t *testing.T) {
	d := newDesk(t)
	begun := make(chan struct{})
	endless := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/events" {
			d.kit.Server.ServeHTTP(w, r)
			return
		}
		if r.URL.Query().Get("cursor") != "" {
			select {
			case <-begun:
			case <-r.Context().Done():
			}
			http.Error(w, "broken", http.StatusTeapot)
			return
		}
		page := types.Page[types.Event]{NextCursor: "more"}
		for i := range types.MaxPage {
			page.Items = append(page.Items, types.Event{Index: uint64(i + 1), At: time.Now(), Type: "lease.issued", UserAgent: "=cmd()"})
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(page)
	})
	pages, err := console.New(console.Config{API: endless, ClusterID: func() string { return "01TESTCLUSTER" }})
	d.must2(pages, err)
	server := httptest.NewServer(pages.Handler())
	t.Cleanup(func() { pages.Close(); server.Close() })
	d.url = server.URL
	d.signIn(apitest.Token)
	for n, format := range []string{"csv", "jsonl"} {
		response, err := d.http.Get(d.url + "/ui/history/export?format=" + format)
		d.must2(response, err)
		defer response.Body.Close()
		if kind := response.Header.Get("Content-Disposition"); response.StatusCode != 200 || kind != fmt.Sprintf(`attachment; filename="history.%s"`, format) {
			t.Fatalf("%s: %s %s", format, response.Status, kind)
		}
		first := make([]byte, 1000)
		_, err = io.ReadFull(response.Body, first)
		d.must2(nil, err)
		if format == "csv" && !strings.Contains(string(first), ",'=cmd()") {
			t.Errorf("a formula: %s", first)
		}
		if n == 0 {
			close(begun)
		}
		if rest, err := io.ReadAll(response.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s that fails ends with %v after %d bytes", format, err, len(rest))
		}
	}
}
