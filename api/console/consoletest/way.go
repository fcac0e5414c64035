package consoletest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
)

// Way is a proxy before a node, which a test can cut and which counts what goes through it.
type Way struct {
	url   string
	node  int
	proxy *httputil.ReverseProxy

	mu   sync.Mutex
	cut  string // the beginning of the paths that lead nowhere; empty: none
	open map[*http.Request]context.CancelFunc
	seen []string // methods and paths
}

// Way returns one to a node, for [House.BrowserBy].
func (h *House) Way(node int) *Way {
	h.t.Helper()
	to, err := url.Parse(h.URL(node))
	h.must(err)
	w := &Way{node: node, open: map[*http.Request]context.CancelFunc{}}
	w.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host
		},
		FlushInterval: -1,
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	server := httptest.NewServer(w)
	h.t.Cleanup(func() { w.Cut("/"); server.Close() })
	w.url = server.URL
	return w
}

// ServeHTTP passes a request on.
func (w *Way) ServeHTTP(to http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	w.mu.Lock()
	w.seen = append(w.seen, r.Method+" "+r.URL.Path)
	cut := w.leadsNowhere(r)
	w.open[r] = cancel
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.open, r)
	}()
	if cut {
		http.Error(to, "The way is cut.", http.StatusServiceUnavailable)
		return
	}
	w.proxy.ServeHTTP(to, r.WithContext(ctx))
}

func (w *Way) leadsNowhere(r *http.Request) bool {
	return w.cut != "" && strings.HasPrefix(r.URL.Path, w.cut)
}

// Cut ends what is under way to paths that begin so, and lets nothing through to them.
func (w *Way) Cut(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = path
	for r, cancel := range w.open {
		if w.leadsNowhere(r) {
			cancel()
		}
	}
}

// Mend lets everything through again.
func (w *Way) Mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = ""
}

// Seen counts the requests to a path so far, such as "POST /ui/accounts/new".
func (w *Way) Seen(request string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, one := range w.seen {
		if one == request {
			n++
		}
	}
	return n
}
