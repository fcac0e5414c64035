package vault

import (
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Prefix begins the path of everything that this package serves.
const Prefix = "/v1/"

// Config says what a Server works with.
type Config struct {
	Native Native // required

	// Version is that of the program. What is no semantic version is told as 0.0.0.
	Version string

	// StandbyStatus is what sys/health answers at a node that does not lead, but serves. Zero: 200.
	StandbyStatus int

	// Routed hears the pattern of a request's path once it is known.
	Routed func(r *http.Request, pattern string)

	// Fail answers with an error.
	Fail func(w http.ResponseWriter, r *http.Request, err error)

	Now func() time.Time // required
}

// Server answers requests of clients of Vault. It stands behind whatever finds out who asks. It is safe for concurrent
// use.
type Server struct {
	config Config
	routes []route
}

// New returns a Server.
func New(config Config) *Server {
	if config.StandbyStatus == 0 {
		config.StandbyStatus = http.StatusOK
	}
	config.Version = semver(config.Version)
	return &Server{config, routes()}
}

// Nature is what kind of request something is.
type Nature int

// The natures of requests.
const (
	Unknown Nature = iota // nothing that is served
	Open                  // answered by every node to everybody
	SignIn                // brings the proof of who asks
	Read                  // changes nothing
	Change                // changes something
	Again                 // changes something, and may be carried out twice
)

// list is a method of Vault's that HTTP does not have. GET with list=true is the same.
const list = "LIST"

// request is what a handler gets.
type request struct {
	*http.Request
	method string   // LIST too where it came as GET
	path   string   // below Prefix, without slashes at its ends
	rest   string   // of the path, where the pattern ends in *
	names  []string // that stand for the placeholders of the pattern
	fields fields   // of the body
}

// token is the one that the request shows, from either header.
func (r *request) token() string { return TokenOf(r.Header) }

// TokenOf returns the token that a request shows; empty: none.
func TokenOf(header http.Header) string {
	if token := strings.TrimSpace(header.Get("X-Vault-Token")); token != "" {
		return token
	}
	scheme, token, _ := strings.Cut(header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// route is what may be asked for. A placeholder in its pattern stands for one segment, * for the rest, be it nothing.
type route struct {
	pattern string
	methods string
	nature  Nature
	serve   func(*Server, http.ResponseWriter, *request) error
}

const write2 = "PUT POST"

// routes are tried in this order.
func routes() []route {
	return []route{
		{"sys/health", "GET HEAD", Open, (*Server).health},
		{"sys/leader", "GET", Open, (*Server).leader},
		{"sys/seal-status", "GET", Open, (*Server).sealStatus},
		{"sys/init", "GET", Open, (*Server).initStatus},
		{"sys/mounts", "GET", Read, (*Server).mounts},
		{"sys/internal/ui/mounts/*", "GET", Read, (*Server).mount},

		{"sys/leases/lookup/*", list, Read, (*Server).listLeases},
		{"sys/leases/lookup/*", write2, Read, (*Server).lookUpLease},
		{"sys/leases/renew/*", write2, Again, (*Server).renewLease},
		{"sys/leases/revoke/*", write2, Again, (*Server).revokeLease},
		{"sys/leases/revoke-prefix/*", write2, Again, (*Server).revokePrefix},
		{"sys/leases/revoke-force/*", write2, Again, (*Server).revokeForce},
		{"sys/renew/*", write2, Again, (*Server).renewLease},
		{"sys/revoke/*", write2, Again, (*Server).revokeLease},
		{"sys/revoke-prefix/*", write2, Again, (*Server).revokePrefix},
		{"sys/revoke-force/*", write2, Again, (*Server).revokeForce},

		{"auth/token/lookup-self", "GET PUT POST", Read, (*Server).lookUpSelf},
		{"auth/token/renew-self", write2, Read, (*Server).renewSelf},
		{"auth/token/lookup", "GET PUT POST", Read, (*Server).lookUpToken},
		{"auth/token/revoke-self", write2, Change, (*Server).revokeSelf},
		{"auth/token/create", write2, Change, (*Server).createToken},
		{"auth/approle/login", write2, SignIn, (*Server).signInAppRole},
		{"auth/userpass/login/{name}", write2, SignIn, (*Server).signInUserPass},

		{"{app}/{env}/creds/{name}", "GET", Again, (*Server).credentials},
		{"{app}/{env}/creds/{name}", write2, Change, (*Server).credentials},
	}
}

// find returns the route of a request, and what of it was found. Served says that the path is, by whatever method.
func (s *Server) find(method string, u *url.URL) (one route, found *request, served bool) {
	path, ok := strings.CutPrefix(u.Path, Prefix)
	if !ok {
		return route{}, nil, false
	}
	path = strings.Trim(path, "/")
	if method == http.MethodGet && u.RawQuery != "" {
		if is, err := strconv.ParseBool(u.Query().Get("list")); err == nil && is {
			method = list
		}
	}
	for _, one := range s.routes {
		names, rest, ok := match(one.pattern, path)
		if !ok {
			continue
		}
		served = true
		for known := range strings.FieldsSeq(one.methods) {
			if known == method {
				return one, &request{method: method, path: path, rest: rest, names: names}, true
			}
		}
	}
	return route{}, nil, served
}

// match compares a path with a pattern.
func match(pattern, path string) (names []string, rest string, ok bool) {
	for pattern != "" {
		var want, have string
		want, pattern, _ = strings.Cut(pattern, "/")
		if want == "*" {
			return names, path, true
		}
		if have, path, ok = strings.Cut(path, "/"); !ok && pattern != "" && pattern != "*" || have == "" {
			return nil, "", false
		}
		switch {
		case strings.HasPrefix(want, "{"):
			names = append(names, have)
		case want != have:
			return nil, "", false
		}
	}
	if path != "" || len(names) > 1 && (names[0] == "sys" || names[0] == "auth") {
		return nil, "", false
	}
	return names, "", true
}

// Nature tells what kind of request it is.
func (s *Server) Nature(method string, u *url.URL) Nature {
	one, _, _ := s.find(method, u)
	return one.nature
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := s.serve(w, r); err != nil {
		s.config.Fail(w, r, err)
	}
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) error {
	one, found, served := s.find(r.Method, r.URL)
	switch {
	case served && found == nil:
		p := refuse("unsupported operation")
		p.Status, p.Code = http.StatusMethodNotAllowed, codeMethod
		return p
	case found == nil:
		p := refuse("no handler for route " + strconv.Quote(strings.TrimPrefix(r.URL.Path, Prefix)))
		p.Status, p.Code = http.StatusNotFound, codeNoRoute
		p.Hint = hintOfRoute(strings.Trim(strings.TrimPrefix(r.URL.Path, Prefix), "/"))
		return p
	}
	s.config.Routed(r, Prefix+one.pattern)
	if wrap := r.Header.Get("X-Vault-Wrap-TTL"); wrap != "" && wrap != "0" && wrap != "0s" {
		return refuse("answers are not wrapped here: send no wrap TTL")
	}
	if space := strings.Trim(r.Header.Get("X-Vault-Namespace"), "/"); space != "" && space != "root" {
		return refuse("there are no namespaces here: the mount app/env is the whole path")
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return refuse("the request's body could not be read to its end")
	}
	found.Request = r
	if found.fields, err = parseBody(body); err != nil {
		return err
	}
	return one.serve(s, w, found)
}

// hintOfRoute says what somebody may have meant by a path that is not served.
func hintOfRoute(path string) string {
	segments := strings.Split(path, "/")
	switch {
	case segments[0] == "sys" || segments[0] == "auth":
		return "of Vault's own paths there are those that leases and signing in need: auth/approle, auth/userpass, auth/token, sys/leases, sys/health"
	case len(segments) == 3 && segments[1] == credsSegment:
		return "a mount is an environment, and its name has two parts: app/env/creds/name"
	case len(segments) == 3:
		return "credentials of the secret " + path + " are at " + segments[0] + "/" + segments[1] + "/" + credsSegment + "/" + segments[2]
	}
	return "credentials of the secret app/env/name are at app/env/creds/name; there is nothing else in a mount"
}

// semver returns a version that clients can parse.
func semver(version string) string {
	version = strings.TrimPrefix(version, "v")
	core, _, _ := strings.Cut(version, "-")
	core, _, _ = strings.Cut(core, "+")
	parts := strings.Split(core, ".")
	if len(parts) == 3 {
		for _, one := range parts {
			if _, err := strconv.ParseUint(one, 10, 31); err != nil {
				return "0.0.0"
			}
		}
		return version
	}
	return "0.0.0"
}
