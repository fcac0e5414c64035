package api

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"broker/api/front"
	"broker/api/types"
)

// Bounds of a request's head.
const (
	maxHeaders     = 100
	maxHeaderBytes = 32 << 10
)

// Of how many hosts and accounts it is remembered how often they asked.
const (
	ratedHosts    = 16384
	ratedAccounts = 16384
)

// Limits say how often one may ask. Zero rates are no limits.
type Limits struct {
	// Address is for all requests of one host. This machine and trusted proxies are not held to it: they ask on behalf of
	// many, and what runs here can do worse.
	Address front.Rate

	// Failures is for requests of one host that show no valid token, likewise.
	Failures front.Rate

	// Account is for the requests of one account, from wherever.
	Account front.Rate
}

// Limited counts the requests that came too often.
type Limited struct{ Address, Failures, Account uint64 }

// limits are what the rates are counted by.
type limits struct {
	address, failures *front.Rates[netip.Prefix]
	account           *front.Rates[string]

	byAddress, byFailures, byAccount atomic.Uint64
}

func newLimits(c Limits) *limits {
	return &limits{
		address:  front.NewRates[netip.Prefix](c.Address, ratedHosts),
		failures: front.NewRates[netip.Prefix](c.Failures, ratedHosts),
		account:  front.NewRates[string](c.Account, ratedAccounts),
	}
}

// Limited returns how many requests this node refused since they came too often.
func (s *Server) Limited() Limited {
	return Limited{s.limits.byAddress.Load(), s.limits.byFailures.Load(), s.limits.byAccount.Load()}
}

// front refuses by its head what no caller has a reason to send, and what one host sends too often. A request that is
// forwarded has passed it at the node that took it.
func (s *Server) front(next http.Handler) http.Handler {
	crossOrigin := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := callOf(r.Context())
		if c.forwarded {
			next.ServeHTTP(w, r)
			return
		}
		// First what costs nothing, so that whoever sends too much is answered for as little as possible.
		if c.path != healthPath && c.path != readyPath && c.path != vaultHealthPath && s.heldToHost(c) {
			if wait := s.limits.address.Take(front.HostOf(c.client), s.config.Now()); wait > 0 {
				s.limits.byAddress.Add(1)
				writeProblem(w, r, tooMany("this address asks more often than it may", "where many clients share an address, as behind a proxy, --trusted-proxies tells them apart", wait))
				return
			}
		}
		if p := headProblem(r); p != nil {
			c.path = cut(c.path, 256) // it is logged
			writeProblem(w, r, p)
			return
		}
		if !s.knownHost(r, c) {
			p := problem(codeWrongHost, "the Host header is none of this node's names")
			p.Hint = "on loopback and without TLS a node answers to loopback names, to its advertised name and to those given by --api-name"
			writeProblem(w, r, p)
			return
		}
		asked := r
		if c.changes() && !isWrite(r.Method) { // a GET that mints
			asked = r.WithContext(r.Context())
			asked.Method = http.MethodPost
		}
		if crossOrigin.Check(asked) != nil {
			writeProblem(w, r, problem(codeForeignOrigin, "the request comes from a page of another origin, which may change nothing here"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Admit has what is served beside the API, such as pages, pass what stands before the API: how often a host asks, what the
// head of a request may hold, by which names this node is asked. What it asks the API for is counted besides.
func (s *Server) Admit(next http.Handler) http.Handler {
	return s.name(s.speak(s.front(next)), false)
}

// Encrypted reports whether the connection of whoever asks is encrypted, as far as this node and trusted proxies know.
func (s *Server) Encrypted(r *http.Request) bool { return s.config.Proxies.Encrypted(r) }

// headProblem tells what is wrong with the head of a request.
func headProblem(r *http.Request) *types.Problem {
	if len(r.RequestURI) > maxURL {
		return problem(codeURLTooLong, "the URL is longer than "+strconv.Itoa(maxURL)+" bytes")
	}
	count, size := 0, 0
	for name, values := range r.Header {
		count += len(values)
		for _, value := range values {
			size += len(name) + len(value)
		}
	}
	if count > maxHeaders || size > maxHeaderBytes {
		return problem(codeHeadersTooLarge, "the request has more than "+strconv.Itoa(maxHeaders)+" header fields, or more than "+strconv.Itoa(maxHeaderBytes)+" bytes of them")
	}
	if !plainPath(r.URL) {
		return problem(codeMalformed, "the URL's path is not in its plain form: no empty, . or .. segments, no encoded slashes, no control characters")
	}
	return nil
}

// knownHost keeps a page that has its name resolve to this machine from asking a node that listens here in clear: such a
// request comes from this machine and names a host that is not this one. With TLS no name but those of the certificate
// gets this far, and off loopback there is TLS. Proxies that are trusted may pass on whatever name they were asked by.
func (s *Server) knownHost(r *http.Request, c *call) bool {
	if r.TLS != nil || r.Host == "" {
		return true
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok || !front.AddressOf(local.String()).IsLoopback() {
		return true
	}
	peer := front.AddressOf(r.RemoteAddr)
	if !peer.IsLoopback() || s.config.Proxies.Trust(peer) {
		return true
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	if address, err := netip.ParseAddr(host); err == nil && address.Unmap().IsLoopback() {
		return true
	}
	return slices.ContainsFunc(s.config.Names, func(name string) bool { return strings.EqualFold(name, host) })
}

// heldToHost reports whether the request counts as one of its host's.
func (s *Server) heldToHost(c *call) bool {
	return !c.forwarded && c.client.IsValid() && !c.client.IsLoopback() && !s.config.Proxies.Trust(c.client)
}

// ration refuses what an account asks for too often. The node that takes a request counts it.
func (s *Server) ration(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := callOf(r.Context())
		if c.identity.Account != "" && !c.forwarded {
			if wait := s.limits.account.Take(string(c.identity.Account), s.config.Now()); wait > 0 {
				s.limits.byAccount.Add(1)
				writeProblem(w, r, tooMany("this account asks more often than it may", "", wait))
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// stranger answers who showed no valid token, or that this was too often.
func (s *Server) stranger(w http.ResponseWriter, r *http.Request, p *types.Problem) {
	if c := callOf(r.Context()); s.heldToHost(c) {
		if wait := s.limits.failures.Take(front.HostOf(c.client), s.config.Now()); wait > 0 {
			s.limits.byFailures.Add(1)
			p = tooMany("this address shows tokens that are not valid more often than it may", "", wait)
		}
	}
	writeProblem(w, r, p)
}

// givenUp reports whether a host has shown so many tokens that were not valid that another one is not worth asking
// the leader about.
func (s *Server) givenUp(c *call) bool {
	return s.heldToHost(c) && s.limits.failures.Spent(front.HostOf(c.client), s.config.Now())
}

func tooMany(detail, hint string, wait time.Duration) *types.Problem {
	p := problem(codeTooManyRequests, detail)
	p.Hint = hint
	retryAfter(p, wait)
	return p
}

// secure sets what every answer tells browsers: this is no page, belongs in no page, and is for nobody else's.
// Whatever serves pages sets its own policy.
func secure(header http.Header, encrypted bool) {
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	if encrypted {
		header.Set("Strict-Transport-Security", "max-age=31536000")
	}
}
