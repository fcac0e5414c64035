package console_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"broker/api/console/consoletest"
)

// A link on a page of another site, as in a chat, leads to what it names: whoever is signed in has not to sign in again, though
// browsers keep the cookie back at first. A stranger signs in.
func TestLinksFromElsewhere(t *testing.T) {
	h := consoletest.Start(t)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<a href="%s/ui/leases?state=all&amp;account=admin">look at this</a>`, h.URL(1))
	}))
	t.Cleanup(elsewhere.Close)
	for token, path := range map[string]string{h.Token(): "/ui/leases", "": "/ui/signin"} {
		b := h.Browser(1, token)
		b.Open("/ui/signin")
		b.Eval("location.href = " + fmt.Sprintf("%q", strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1)))
		b.Click("look at this")
		b.At(path)
		if query := b.Eval("decodeURIComponent(location.search)"); !strings.Contains(query, "state=all") || !strings.Contains(query, "account=admin") {
			t.Errorf("at %s the query is %q", path, query)
		}
	}
}
