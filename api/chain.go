package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"os"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"

	"broker/access"
	"broker/api/front"
	"broker/api/types"
	"broker/api/vault"
)

// chain is what every request passes, in this order.
func (s *Server) chain(forwarded bool) http.Handler {
	handler := http.Handler(s.router)
	handler = s.freshen(handler)         // a read waits until the local state is new enough
	handler = s.lead(handler)            // a write goes to where the leader is
	handler = s.receive(handler)         // the body, of those who may ask
	handler = s.ration(handler)          // how often an account asks
	handler = s.identify(handler)        // who asks
	handler = s.limit(handler)           // bounds, before anything is parsed
	handler = s.front(handler)           // what a stranger may send, and how often
	handler = s.recover(handler)         // a panic is an answer too
	handler = s.speak(handler)           // problems in the words that the client knows
	handler = s.record(handler)          // one line in the log
	handler = s.trace(handler)           // a part of a trace
	handler = s.name(handler, forwarded) // everything above refers to the request by its id
	return handler
}

// name gives the request an id and begins its call.
func (s *Server) name(next http.Handler, forwarded bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nature := s.vault.Nature(r.Method, r.URL)
		c := &call{
			id:        rand.Text(),
			node:      s.config.Cluster.NodeID(),
			userAgent: cut(strings.ToValidUTF8(r.UserAgent(), "\uFFFD"), 256),
			forwarded: forwarded,
			method:    r.Method,
			path:      r.URL.Path,
			open:      isPublic(r.URL.Path) || isDocument(r) || nature == vault.Open,
			query:     r.URL.RawQuery,
			dryRun:    r.URL.Query().Get("dry_run") == "true",
			header:    w.Header(),
			isVault:   strings.HasPrefix(r.URL.Path, vault.Prefix),
			nature:    nature,
		}
		if holdsSecret(c.path) {
			c.path = "(holds a secret)" // it would be logged, whatever the request is refused for
		}
		c.client, c.address = s.clientOf(r)
		if forwarded {
			if node := r.Header.Get(headerForwardedNode); node != "" {
				c.node, c.address = node, r.Header.Get(headerForwardedFor)
				c.client, _ = netip.ParseAddr(c.address) // zero when that node did not know it
			}
			if id := r.Header.Get(types.HeaderRequestID); id != "" {
				c.id = id
			}
		}
		header := w.Header()
		header.Set(types.HeaderRequestID, c.id)
		header.Set(types.HeaderNode, s.config.Cluster.NodeID())
		secure(header, !forwarded && s.config.Proxies.Encrypted(r)) // of a forwarded request the node that took it knows
		if s.parting.Load() && !forwarded {
			header.Set("Connection", "close")
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callKey{}, c)))
	})
}

// record logs the request once it is answered: names and numbers, never bodies, queries or tokens.
func (s *Server) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := s.config.Now()
		counted := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(counted, r)
		c := callOf(r.Context())
		c.status = counted.status
		took := s.config.Now().Sub(began)
		s.recordRefusal(r.Context(), c, began)
		// What is forwarded is told by the node that took it; a stream lasts as long as somebody listens.
		if streamed := wantsStream(r) && c.status == http.StatusOK; s.config.Observer != nil && !c.forwarded && !streamed {
			s.config.Observer.Answered(c.route, c.method, c.status, took)
		}
		level := slog.LevelInfo
		if c.open || c.path == metricsPath || c.code == codeTooManyRequests { // whoever floods a node fills no disk
			level = slog.LevelDebug
		}
		attributes := []slog.Attr{
			slog.String("method", c.method),
			slog.String("path", c.path),
			slog.Int("status", counted.status),
			slog.Duration("took", took),
			slog.String("address", c.address),
		}
		if c.identity.Account != "" {
			attributes = append(attributes, slog.String("account", string(c.identity.Account)))
		}
		if c.forwarded {
			attributes = append(attributes, slog.String("from_node", c.node))
		}
		if c.code != "" {
			attributes = append(attributes, slog.String("code", c.code))
		}
		s.log.LogAttrs(r.Context(), level, "request", attributes...)
	})
}

// recover answers a panic with 500 and keeps its stack for the log.
func (s *Server) recover(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			reason := recover()
			if reason == nil {
				return
			}
			if err, ok := reason.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(reason)
			}
			// The reason itself may quote a value of the request; the stack holds none.
			s.log.ErrorContext(r.Context(), "a handler panicked", "stack", string(debug.Stack()))
			writeProblem(w, r, problem(codeInternal, "an internal error happened; the node's log tells more under this request's id"))
		}()
		next.ServeHTTP(w, r)
	})
}

// limit bounds the time of a request and refuses what its head alone shows to be wrong, such as a token in the URL.
func (s *Server) limit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := callOf(r.Context())
		ctx, cancel := context.WithCancel(r.Context())
		if !wantsStream(r) { // which lasts until somebody ends it
			ctx, cancel = context.WithTimeout(r.Context(), s.config.RequestTimeout)
		}
		defer cancel()
		r = r.WithContext(ctx)
		if secretInURL(r) {
			writeProblem(w, r, problem(codeTokenInURL, "the URL holds a secret: tokens belong in the Authorization header, other secrets in the body; this one should be replaced"))
			return
		}
		if !utf8.ValidString(r.URL.Path) {
			writeProblem(w, r, problem(codeMalformed, "the URL's path holds bytes that are no UTF-8 text"))
			return
		}
		if c.method == http.MethodPost || c.isVault {
			c.keyValue = r.Header.Get(types.HeaderIdempotencyKey)
			if err := checkKey(c.keyValue); err != nil {
				writeProblem(w, r, invalid(types.HeaderIdempotencyKey, err.Error()))
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// identify finds out who asks.
func (s *Server) identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := callOf(r.Context())
		if c.open || c.isSignIn() {
			next.ServeHTTP(w, r)
			return
		}
		token, ok := c.tokenIn(r.Header)
		if !ok {
			p := problem(codeUnauthenticated, "the request has no token")
			p.Hint = "send the header Authorization: Bearer with a token"
			s.stranger(w, r, p)
			return
		}
		c.token, c.knownAt = token, s.config.State.Index()
		c.identifyAgain = func() (Identity, error) { return s.config.Authenticator.Identify(token, c.client) }
		who, err := c.identifyAgain()
		if errors.Is(err, ErrUnauthenticated) && access.CheckToken(token) == nil && !s.config.Cluster.LeaderReady() && !s.givenUp(c) {
			// The token may be newer than this node's state, so this node cannot call it wrong.
			if c.forwarded {
				writeProblem(w, r, problem(codeNotLeader, "the node asked for this change does not lead; nothing was done"))
				return
			}
			if err = s.catchUp(r.Context()); err == nil {
				who, err = c.identifyAgain()
			}
		}
		if errors.Is(err, ErrUnauthenticated) {
			p, _ := problemOf(err, s.config.Now())
			s.stranger(w, r, p)
			return
		}
		if err != nil {
			s.fail(w, r, err)
			return
		}
		if age := s.config.Cluster.Staleness(); age > s.config.TokenStaleness && !isClusterPath(c.path) && c.path != metricsPath {
			writeProblem(w, r, problem(codeTooStale, "this node has heard of no leader for longer than it may go by what it knows of tokens; it only tells how it sees the cluster"))
			return
		}
		c.identity = who
		next.ServeHTTP(w, r)
	})
}

// receive reads the body, which is kept until the request is answered: one that is forwarded is sent again when the
// leader changes. So no more is read of who was not identified than signing in takes; what is left unread net/http drains a little of, to
// keep the connection, or closes it.
func (s *Server) receive(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := callOf(r.Context())
		if c.open { // which take none
			r.Body = http.NoBody
			next.ServeHTTP(w, r)
			return
		}
		most := s.config.MaxBody
		if c.isSignIn() { // by strangers
			most = min(most, maxSignIn)
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
		var tooLarge *http.MaxBytesError
		switch {
		case errors.As(err, &tooLarge):
			writeProblem(w, r, problem(codeTooLarge, "the request's body is too large"))
			return
		case errors.Is(err, os.ErrDeadlineExceeded):
			writeProblem(w, r, problem(codeBodyTooSlow, "the request's body came too slowly"))
			return
		case err != nil:
			writeProblem(w, r, problem(codeMalformed, "the request's body could not be read to its end"))
			return
		case c.isVault: // whose clients say nothing of the type, or something else
			if err := strict(body); err != nil && len(bytes.TrimSpace(body)) > 0 {
				writeProblem(w, r, problem(codeMalformed, "the request's body is no JSON: "+err.Error()))
				return
			}
		case len(body) > 0 && !isJSON(r.Header):
			writeProblem(w, r, problem(codeMediaType, "the request's Content-Type is not application/json"))
			return
		}
		if len(body) > 0 && !c.isVault {
			r.Header.Set("Content-Type", "application/json") // in the one spelling that what follows knows
		}
		c.body = body
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

// catchUp brings the local state up to date for a second look at a token.
func (s *Server) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, min(2*time.Second, s.config.LeaderTimeout))
	defer cancel()
	index, err := s.readIndex(ctx)
	if err != nil {
		return err
	}
	if err := s.config.Cluster.WaitApplied(ctx, index); err != nil {
		return problem(codeTooStale, "this node is still catching up")
	}
	return nil
}

// fail answers an error that arose before a handler.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	p, internal := problemOf(err, s.config.Now())
	if internal {
		s.log.ErrorContext(r.Context(), "a request failed", "error", err)
	}
	writeProblem(w, r, p)
}

// statusWriter remembers the status for the log.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader remembers the status.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap gives http.ResponseController its way to the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// isJSON reports whether a header says, once, that the body is JSON.
func isJSON(header http.Header) bool {
	kinds := header.Values("Content-Type")
	if len(kinds) != 1 {
		return false
	}
	kind, parameters, err := mime.ParseMediaType(kinds[0])
	charset := parameters["charset"]
	return err == nil && kind == "application/json" && (charset == "" || strings.EqualFold(charset, "utf-8"))
}

// clientOf returns who asks, as an address, which is the zero one when it is not known, and as text.
func (s *Server) clientOf(r *http.Request) (netip.Addr, string) {
	peer := front.AddressOf(r.RemoteAddr)
	if !peer.IsValid() {
		return peer, r.RemoteAddr
	}
	client := s.config.Proxies.Client(peer, r.Header.Values("X-Forwarded-For"))
	return client, client.String()
}

// cut shortens a text that is too long, between two characters.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}
