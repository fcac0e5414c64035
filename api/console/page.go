package console

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"broker/api/client"
	"broker/api/types"
)

// The headers by which console.js and the console talk.
const (
	headerPart  = "Console-Part"  // asked for: "content", the page without what is around it, or "dialog"
	headerLive  = "Console-Live"  // of a refresh that nobody asked for: the index of the event behind it; 0: as new as any
	headerParts = "Console-Parts" // of such a refresh: the ids of the parts that are looked at, between commas; none: all
	headerIndex = "Console-Index" // of the state that an answer is from
	headerNow   = "Console-Now"   // the console's time in Unix milliseconds, to count down by
	headerDone  = "Console-Done"  // a dialog did what it is for: JSON with a message and where to go, if anywhere
	headerGo    = "Console-Go"    // leave the page for this one

	headerProblem = "Console-Problem" // the answer tells a problem: what somebody was at stays
)

// page is one request of a browser, as screens see it. What begins with a capital is for templates too.
type page struct {
	console *Console
	w       http.ResponseWriter
	r       *http.Request
	ctx     context.Context
	token   string
	self    string // the token's accessor

	Client  *client.Client // calls the API as the browser's session
	Account string         // that is signed in
	EndsAt  *time.Time     // when the session does at the latest
	Live    bool           // a refresh that nobody asked for
	Stale   bool           // made from what this node has
	Alone   bool           // which is because it hears of no leader
	Since   time.Time      // when it last heard of one; zero: not known

	may       map[client.Question]bool
	described []types.Provider // what providers returned
}

// page serves what a session may see: first from a state that is as new as any, and when there is no leader, from
// what the node has.
func (c *Console) page(handle func(*page) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := c.tokenOf(r)
		if token == "" {
			if fromElsewhere(r) {
				c.again(w, r)
				return
			}
			c.toSignIn(w, r, false)
			return
		}
		run := func(stale bool, timeout time.Duration) (err error) {
			defer c.recovered(r, &err)
			ctx, cancel := context.WithTimeout(client.OnWait(r.Context(), patient), timeout)
			defer cancel()
			p, err := c.newPage(ctx, w, r, token, stale)
			if err == nil {
				err = p.identify()
			}
			if err == nil {
				err = p.readForm()
			}
			if err == nil {
				err = handle(p)
			}
			return err
		}
		reads := r.Method == http.MethodGet
		timeout := changeTimeout
		if reads {
			timeout = c.config.ReadTimeout
		}
		now := c.config.Now()
		if reads && now.Sub(time.UnixMilli(c.noLeaderAt.Load())) < 5*time.Second {
			c.answered(w, r, run(true, timeout))
			return
		}
		err := run(false, timeout)
		if reads && isLeaderless(err) && r.Context().Err() == nil {
			if !c.leader(r)["leader"] { // else this page alone takes too long
				c.noLeaderAt.Store(now.UnixMilli())
			}
			err = run(true, timeout)
		}
		c.answered(w, r, err)
	})
}

// changeTimeout bounds what a form does.
const changeTimeout = 25 * time.Second

// patient has a call that is under way end by itself, and one that found no leader not begin again for long: somebody
// waits in front of the screen.
func patient(waited time.Duration, unanswered error) bool {
	return unanswered == nil || waited < 2*time.Second
}

// openPage serves what nobody has to be signed in for. What strangers send is small.
func (c *Console) openPage(handle func(*page) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxSignIn)
		ctx, cancel := context.WithTimeout(client.OnWait(r.Context(), patient), changeTimeout)
		defer cancel()
		p, err := c.newPage(ctx, w, r, c.tokenOf(r), false)
		if err == nil {
			err = p.readForm()
		}
		if err == nil {
			err = handle(p)
		}
		c.answered(w, r, err)
	})
}

// answered turns the error of a screen, which then has written nothing, into a page.
func (c *Console) answered(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case err == nil || r.Context().Err() != nil:
	case isUnauthenticated(err):
		c.sessions.drop(c.tokenOf(r))
		c.dropCookie(w, r)
		c.toSignIn(w, r, true)
	default:
		p, failed := c.newPage(r.Context(), w, r, c.tokenOf(r), true)
		if failed == nil {
			if k, ok := c.sessions.get(p.token); ok {
				p.Account = k.account
			}
			p.Alone = isLeaderless(err) || !c.leader(r)["leader"] // what is not there may be so with a leader too
			failed = p.showProblem(err)
		}
		if failed != nil {
			c.log.ErrorContext(r.Context(), "a page cannot be made", "path", r.URL.Path, "error", failed)
			http.Error(w, "The page cannot be made.", http.StatusInternalServerError)
		}
	}
}

func (c *Console) newPage(ctx context.Context, w http.ResponseWriter, r *http.Request, token string, stale bool) (*page, error) {
	p := &page{console: c, w: w, r: r, ctx: ctx, token: token, Stale: stale, Alone: stale, may: map[client.Question]bool{}}
	p.Live = r.Header.Get(headerLive) != ""
	var err error
	if p.Client, err = p.clientOf(token); err != nil {
		return nil, err
	}
	if stale {
		if cluster, err := p.Client.GetCluster(ctx); err == nil && cluster.StalenessMS > 0 {
			p.Since = c.config.Now().Add(-time.Duration(cluster.StalenessMS) * time.Millisecond)
		}
	}
	return p, nil
}

// clientOf returns a client of the node's own API with a token, on behalf of the browser.
func (p *page) clientOf(token string) (*client.Client, error) {
	way := inside{api: p.console.config.API, browser: p.r}
	config := client.Config{
		Addresses: []string{"http://localhost"}, Token: token, UserAgent: strings.ToValidUTF8(p.r.UserAgent(), "?"), Timeout: changeTimeout,
	}
	switch {
	case p.Stale:
		config.Consistency = types.Stale
	case p.Live:
		if way.minIndex, _ = strconv.ParseUint(p.r.Header.Get(headerLive), 10, 64); way.minIndex > 0 {
			config.Consistency = types.Session
		}
	}
	config.Transport = way
	return client.New(config)
}

// fromElsewhere reports whether a link on a page of another site leads here. Browsers keep the cookie back then.
func fromElsewhere(r *http.Request) bool {
	return r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Site") == "cross-site" && r.Header.Get("Sec-Fetch-Mode") == "navigate"
}

// again has the browser ask again by itself, as from a page of ours: with the cookie, if there is one. It gives nothing away,
// since a GET changes nothing and pages of other sites do not see what it shows.
func (c *Console) again(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err := c.templates.ExecuteTemplate(w, "again", localPath(r.URL.RequestURI())); err != nil {
		c.log.ErrorContext(r.Context(), "a page cannot be made", "path", r.URL.Path, "error", err)
	}
}

// toSignIn sends a browser to where it can sign in, and back afterwards.
func (c *Console) toSignIn(w http.ResponseWriter, r *http.Request, ended bool) {
	query := url.Values{}
	if r.Method == http.MethodGet && r.URL.Path != "/ui/" && r.URL.Path != "/ui/events" {
		query.Set("next", r.URL.RequestURI())
	}
	if ended {
		query.Set("ended", "1")
	}
	target := "/ui/signin"
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	if r.Header.Get(headerPart) != "" {
		w.Header().Set(headerGo, target)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	http.Redirect(w, r, target, http.StatusSeeOther)
}

// posted reports whether a form was sent.
func (p *page) posted() bool { return p.r.Method == http.MethodPost }

// param returns a part of the path.
func (p *page) param(name string) string { return p.r.PathValue(name) }

// query returns the first value of the query.
func (p *page) query(name string) string { return p.r.URL.Query().Get(name) }

// redirect has the browser go elsewhere.
func (p *page) redirect(path string) error {
	if p.r.Header.Get(headerPart) != "" {
		p.w.Header().Set(headerGo, path)
		p.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	http.Redirect(p.w, p.r, path, http.StatusSeeOther)
	return nil
}

// done ends a form that did what it is for: its dialog closes, the message is shown, and what it changed is shown by
// whatever lives on the page. Without a dialog the browser goes to where the form belongs.
func (p *page) done(message, back string) error {
	if p.r.Header.Get(headerPart) == "dialog" {
		return p.told(message, "")
	}
	return p.redirect(back)
}

// doneAt is done for what is gone from where it was, or is to be looked at: the browser goes there in any case.
func (p *page) doneAt(message, path string) error {
	if p.r.Header.Get(headerPart) == "dialog" {
		return p.told(message, path)
	}
	return p.redirect(path)
}

func (p *page) told(message, path string) error {
	p.stamp()
	text, err := json.Marshal(map[string]string{"message": message, "go": path})
	if err != nil {
		return err
	}
	p.w.Header().Set(headerDone, url.PathEscape(string(text))) // headers hold ASCII
	p.w.WriteHeader(http.StatusNoContent)
	return nil
}

// stamp tells what an answer is from.
func (p *page) stamp() {
	p.w.Header().Set(headerNow, strconv.FormatInt(p.console.config.Now().UnixMilli(), 10))
	if index := p.Client.Index(); index > 0 {
		p.w.Header().Set(headerIndex, strconv.FormatUint(index, 10))
	}
}

// wants reports whether one of these parts of the page is looked at: a live refresh need not read for the others.
func (p *page) wants(ids ...string) bool {
	parts := p.r.Header.Get(headerParts)
	return !p.Live || parts == "" || slices.ContainsFunc(strings.Split(parts, ","), func(one string) bool { return slices.Contains(ids, one) })
}

// Path is that of the page, for forms to be sent to.
func (p *page) Path() string { return p.r.URL.Path }

// URI is the path of the page with its query.
func (p *page) URI() string { return p.r.URL.RequestURI() }

// Theme is how the page looks: light, dark, or empty for as the browser does.
func (p *page) Theme() string {
	if cookie, err := p.r.Cookie(themeCookie); err == nil && (cookie.Value == "light" || cookie.Value == "dark") {
		return cookie.Value
	}
	return ""
}

// Index is that of the state that the page is made from.
func (p *page) Index() uint64 { return p.Client.Index() }

// Now is the time that the page is made at.
func (p *page) Now() time.Time { return p.console.config.Now() }

// Node names the node that serves.
func (p *page) Node() string { return p.console.config.NodeID }

// Version is that of the program.
func (p *page) Version() string { return p.console.config.Version }

// InDialog reports whether what is shown is a dialog on another page.
func (p *page) InDialog() bool { return p.r.Header.Get(headerPart) == "dialog" }

// recovered turns a panic of a screen into an error.
func (c *Console) recovered(r *http.Request, err *error) {
	if reason := recover(); reason != nil {
		if reason == http.ErrAbortHandler { // an answer that has begun and cannot be ended
			panic(reason)
		}
		// The reason may quote a value; the stack holds none.
		c.log.ErrorContext(r.Context(), "a page panicked", "path", r.URL.Path, "stack", string(debug.Stack()))
		*err = errors.New("the page failed; the node's log tells more")
	}
}
