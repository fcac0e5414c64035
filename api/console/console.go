package console

import (
	"context"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzhttp"
)

// Config says what a Console works with.
type Config struct {
	// API is the node's own, as clients are served. Required.
	API http.Handler

	// ClusterID returns the cluster's id, which is part of the cookie's name: cookies ignore ports. Empty while it is not
	// known. Required.
	ClusterID func() string

	// Admit has requests for pages pass what stands before the API. Nil: they are served whoever asks, however often.
	Admit func(http.Handler) http.Handler

	// Encrypted reports whether the browser's own connection is encrypted, also where a proxy in front decrypts it.
	// Nil: when the one to the node is.
	Encrypted func(*http.Request) bool

	NodeID  string // that serves; shown on every page
	Version string // of the program, likewise

	// Logger hears of pages that failed. Nil: nobody.
	Logger *slog.Logger

	// Now tells the time. Nil: the system's clock.
	Now func() time.Time

	// ReadTimeout bounds the reads behind a page before it is made from what the node has. Zero: 3 s.
	ReadTimeout time.Duration
}

// Console serves pages. It is an http.Handler for "/" and everything below "/ui/", safe for concurrent use.
type Console struct {
	config    Config
	log       *slog.Logger
	mux       *http.ServeMux
	handler   http.Handler
	templates *template.Template
	static    *static
	compress  func(http.Handler) http.HandlerFunc
	sessions  sessions
	screens   map[string]bool // paths of the navigation that there are

	noLeaderAt atomic.Int64 // when a page last found no leader, in Unix milliseconds

	closing  context.Context
	closed   context.CancelFunc
	openings sync.WaitGroup // event streams
}

// New returns a Console. It starts nothing.
func New(config Config) (*Console, error) {
	if config.API == nil || config.ClusterID == nil {
		return nil, errors.New("the console needs the API and the cluster's id")
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.Encrypted == nil {
		config.Encrypted = func(r *http.Request) bool { return r.TLS != nil }
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.ReadTimeout <= 0 {
		config.ReadTimeout = 3 * time.Second
	}
	c := &Console{config: config, log: config.Logger, mux: http.NewServeMux(), screens: map[string]bool{}}
	c.closing, c.closed = context.WithCancel(context.Background())
	var err error
	// Only what is asked for by GET is compressed: it holds no values, which the size of an answer could tell about.
	if c.compress, err = gzhttp.NewWrapper(gzhttp.ContentTypes([]string{"text/html"})); err != nil {
		return nil, err
	}
	if c.static, err = newStatic(); err != nil {
		return nil, err
	}
	if c.templates, err = parseTemplates(c.static); err != nil {
		return nil, err
	}
	c.routes()
	c.handler = c.guard(c.mux)
	if config.Admit != nil {
		c.handler = config.Admit(c.handler)
	}
	return c, nil
}

// routes lists what there is, a line for each noun; the routes of a noun stand in its file.
func (c *Console) routes() {
	c.mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ui/", http.StatusFound) })
	c.mux.Handle("GET /ui/static/", c.static)
	c.mux.Handle("/", c.page(func(p *page) error { return errNoPage }))
	c.signInRoutes()
	c.liveRoutes()
	c.secretRoutes()
	c.leaseRoutes()
	c.connectionRoutes()
	c.lockRoutes()
	c.operationRoutes()
	c.accountRoutes()
	c.tokenRoutes()
	c.groupRoutes()
	c.roleRoutes()
	c.policyRoutes()
	c.accessRoutes()
	c.historyRoutes()
	c.auditRoutes()
	c.pickRoutes()
	c.clusterRoutes()
	c.styleguideRoutes()
}

// get adds a page.
func (c *Console) get(path string, handle func(*page) error) {
	c.screens[path] = true
	c.mux.Handle("GET "+path, c.compress(c.page(handle)))
}

// form adds a page with a form: the same function shows it and takes what is sent.
func (c *Console) form(path string, handle func(*page) error) {
	c.get(path, handle)
	c.mux.Handle("POST "+path, c.page(handle))
}

// Handler returns what serves a node: the console where it is asked for, and the API.
func (c *Console) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" || r.URL.Path == "/ui" || strings.HasPrefix(r.URL.Path, "/ui/") {
			c.ServeHTTP(w, r)
			return
		}
		c.config.API.ServeHTTP(w, r)
	})
}

// ServeHTTP serves a page, or a part of one.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.handler.ServeHTTP(w, r) }

// Close ends the event streams and waits for them.
func (c *Console) Close() {
	c.closed()
	c.openings.Wait()
}

// maxForm is the largest form in bytes, maxSignIn the largest of somebody who is not signed in.
const (
	maxForm   = 1 << 20
	maxSignIn = 16 << 10
)

// policy lets a page load what comes from here, and run nothing that stands in it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// guard sets what every answer tells browsers, and refuses what a page of another origin sends.
func (c *Console) guard(next http.Handler) http.Handler {
	foreign := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("X-Frame-Options", "DENY")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cache-Control", "no-store")
		if c.config.Encrypted(r) {
			header.Set("Strict-Transport-Security", "max-age=31536000")
		}
		if r.URL.Path == "/ui" {
			http.Redirect(w, r, "/ui/", http.StatusFound)
			return
		}
		if intrudes(r) {
			http.Error(w, "A page of another origin may lead here, and load nothing from here.", http.StatusForbidden)
			return
		}
		if err := foreign.Check(r); err != nil {
			http.Error(w, "The request comes from a page of another origin, which may change nothing here.", http.StatusForbidden)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		next.ServeHTTP(w, r)
	})
}

// intrudes reports whether a page of another origin wants more than to lead here: to load something from here, or to show
// it within itself. What other ports of this host serve has our cookies sent along.
func intrudes(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "cross-site", "same-site":
		return r.Header.Get("Sec-Fetch-Mode") != "navigate" || r.Header.Get("Sec-Fetch-Dest") != "document"
	}
	return false
}
