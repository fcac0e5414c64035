package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"
	"github.com/gorilla/mux"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"

	"broker/access"
	"broker/api/front"
	"broker/api/types"
	"broker/api/vault"
	"broker/providers"
)

// Config says what a Server works with.
type Config struct {
	Broker        Broker        // makes changes while this node leads; required
	State         State         // the local copy of the replicated state; required
	Cluster       Cluster       // leadership, freshness, forwarding; required
	Members       Members       // who belongs to the cluster; required
	Authenticator Authenticator // tells whose token it is; required
	Authorizer    Authorizer    // decides what an account may do; required, see [AllowAll]

	// Audit keeps the audit log. Nil: nothing is kept, as in tests.
	Audit access.Recorder

	// AuditLog reads what Audit keeps. Nil: this node has no log that could be read, and says so.
	AuditLog access.AuditLog

	// AuditHash returns what audit logs say instead of a value. Nil: there is no such route.
	AuditHash func(value string) (string, error)

	Providers *providers.Registry // what connections may name; required

	// Documents serves what connections publish. Nil: nothing is published.
	Documents Documents

	// Trust makes tokens and keys of the cluster. Required.
	Trust Trust

	// Credentials makes and judges what people and programs show who they are by. Required.
	Credentials Credentials
	// Access explains what accounts may do. Required.
	Access Access

	// Status returns how this node sees the cluster; the server fills in the leases. Required.
	Status func() types.Cluster

	// Snapshot begins a snapshot of this node's state. Nil: this node makes none.
	Snapshot func() (Snapshot, error)

	// Version of the program, as the API's description tells it. Empty: "dev".
	Version string

	// RequestTimeout bounds a request with everything it waits for. Zero: 30 s.
	RequestTimeout time.Duration

	// LeaderTimeout bounds how long a request waits for a leader. Zero: 10 s.
	LeaderTimeout time.Duration

	// RetryPause is the pause between two looks for a leader. Zero: 20 ms.
	RetryPause time.Duration

	// TokenStaleness is for how long a node that hears of no leader goes by what it knows of tokens and permissions.
	// Zero: 5 min.
	TokenStaleness time.Duration

	// MaxBody is the largest body of a request in bytes. Zero: 1 MiB.
	MaxBody int64

	// MaxStreams is how many event streams may be open at once. Zero: 1000.
	MaxStreams int

	// MaxStreamsEach is how many of them one account may have. Zero: a quarter of MaxStreams, one at least.
	MaxStreamsEach int

	// Heartbeat is how long an event stream is silent at the most. Zero: 15 s.
	Heartbeat time.Duration

	// StreamStall is for how long the client of an event stream may take nothing before it is cut off.
	// Zero: 30 s.
	StreamStall time.Duration

	// Limits say how often one may ask.
	Limits Limits

	// Proxies are believed when they say who asks (X-Forwarded-For). Zero: nobody is.
	Proxies front.Proxies

	// Names are host names by which this node is asked on loopback without TLS, besides those of loopback.
	Names []string

	// VaultStandby is the status of /v1/sys/health at a node that does not lead, but serves. Zero: 200.
	VaultStandby int

	// Up reports whether the node has opened its data and gives up no more; before that it is not healthy. Nil: it is up.
	Up func() bool

	// Metrics serves the metrics of this node to who may read them. Nil: there is no such route.
	Metrics http.Handler

	// Observer hears of requests. Nil: nobody.
	Observer Observer

	// Tracer begins the traces of requests. Nil: nothing is traced.
	Tracer trace.Tracer

	// Logger gets one line per request and the causes of internal errors. Nil: nothing is logged.
	Logger *slog.Logger

	// Now tells the time. Nil: the system's clock.
	Now func() time.Time
}

// Server serves the API at one node. It is an http.Handler for clients; [Server.Forwarded] is the one
// for other nodes.
type Server struct {
	config   Config
	log      *slog.Logger
	router   *mux.Router
	public   http.Handler
	inside   http.Handler
	openAPI  []byte
	vault    *vault.Server
	streams  *streams
	limits   *limits
	tail     *tail
	activity *activity
	list     []Route

	refusals *rate.Limiter // of records of requests that were refused

	parting atomic.Bool // see Part
}

// New returns a server. It starts nothing.
func New(config Config) (*Server, error) {
	if config.Broker == nil || config.State == nil || config.Cluster == nil || config.Members == nil || config.Status == nil ||
		config.Authenticator == nil || config.Authorizer == nil || config.Providers == nil || config.Trust == nil || config.Credentials == nil || config.Access == nil {
		return nil, errors.New("the API needs a broker, state, cluster, members, status, authenticator, authorizer, access, providers, trust and credentials")
	}
	if config.RequestTimeout <= 0 {
		config.RequestTimeout = 30 * time.Second
	}
	if config.LeaderTimeout <= 0 {
		config.LeaderTimeout = 10 * time.Second
	}
	if config.RetryPause <= 0 {
		config.RetryPause = 20 * time.Millisecond
	}
	if config.TokenStaleness <= 0 {
		config.TokenStaleness = 5 * time.Minute
	}
	if config.MaxBody <= 0 {
		config.MaxBody = 1 << 20
	}
	if config.MaxStreams <= 0 {
		config.MaxStreams = 1000
	}
	if config.MaxStreamsEach <= 0 {
		config.MaxStreamsEach = max(1, config.MaxStreams/4)
	}
	if config.Heartbeat <= 0 {
		config.Heartbeat = 15 * time.Second
	}
	if config.StreamStall <= 0 {
		config.StreamStall = 30 * time.Second
	}
	if config.Version == "" {
		config.Version = "dev"
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	s := &Server{
		config: config, log: slog.New(RequestIDs(config.Logger.Handler())),
		streams: newStreams(config.MaxStreams, config.MaxStreamsEach), limits: newLimits(config.Limits), tail: &tail{state: config.State}, activity: &activity{state: config.State},
		refusals: rate.NewLimiter(50, 500),
	}
	s.vault = s.newVault()
	if err := s.routes(); err != nil {
		return nil, err
	}
	s.public, s.inside = s.chain(false), s.chain(true)
	return s, nil
}

// ServeHTTP serves clients.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.public.ServeHTTP(w, r) }

// Forwarded returns the handler for requests that another node of the cluster forwards. It believes
// what that node says about the client's address, so it must be reachable for members only.
func (s *Server) Forwarded() http.Handler { return s.inside }

// Route is what may be asked of a Server, and what it needs.
type Route struct {
	ID     string
	Method string
	Path   string // a pattern, below /api/v1 but for /metrics
	Action Action
	Public bool // nobody needs a permission for it: a sign-in, or what is published
	Chosen bool // whoever asks is answered with what he may see
}

// Routes lists every route that stands behind the gate. What else a Server answers is public: health and the
// description of the API.
func (s *Server) Routes() []Route { return slices.Clone(s.list) }

// Part has every connection be closed after its next answer, so that clients which keep theirs look for another
// node before this one is gone. Requests are answered as before.
func (s *Server) Part() { s.parting.Store(true) }

// HTTPServer returns an http.Server for a handler with the limits that hold before a request is read.
// Its caller listens, serves and shuts down.
func HTTPServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       20 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),

		DisableGeneralOptionsHandler: true, // OPTIONS * is a request like others
	}
}

const (
	apiPrefix   = "/api/v1"
	openAPIPath = apiPrefix + "/openapi.json"
	healthPath  = "/healthz"
	readyPath   = "/readyz"
)

// isPublic reports whether a path answers without a token and without a look at the cluster.
func isPublic(path string) bool {
	return path == openAPIPath || path == healthPath || path == readyPath
}

// maxSignIn is the largest body of a request to sign in.
const maxSignIn = 16 << 10

// routes builds the router with every route and describes the API.
func (s *Server) routes() error {
	setUpHuma()
	s.router = mux.NewRouter()
	s.router.SkipClean(true) // an unclean path is no route, rather than a redirect
	s.router.NotFoundHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, r, problem(codeNoRoute, "there is no such route"))
	})
	s.router.MethodNotAllowedHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, r, problem(codeMethod, "this route does not know the method "+r.Method))
	})

	json1 := strictJSON()
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	registry.RegisterTypeAlias(reflect.TypeFor[types.Duration](), reflect.TypeFor[durationSchema]())
	registry.RegisterTypeAlias(reflect.TypeFor[types.Values](), reflect.TypeFor[map[string]string]())
	config := huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title:       "Broker",
				Version:     s.config.Version,
				Description: "Leases of dynamic secrets. Any node takes any request.",
			},
			Components: &huma.Components{
				Schemas:         registry,
				SecuritySchemes: map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}},
			},
			Security: []map[string][]string{{"token": {}}},
		},
		// huma's own pages are off: its documentation loads scripts from elsewhere.
		Formats:                      map[string]huma.Format{"application/json": json1, "json": json1},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{finishProblem},
	}
	// One path serves pages and streams. The routes of streams come first, and have a description of their own
	// that nobody sees.
	apart := config
	apart.OpenAPI = &huma.OpenAPI{Info: config.Info, Components: &huma.Components{Schemas: registry}}
	streaming := &routes{server: s, api: humamux.New(s.router.MatcherFunc(func(r *http.Request, _ *mux.RouteMatch) bool { return wantsStream(r) }).Subrouter(), apart)}
	r := &routes{server: s, api: humamux.New(s.router, config)}
	r.environments()
	r.connections()
	r.documents()
	r.secrets()
	r.secretTests()
	r.leases()
	r.operations()
	r.locks()
	r.accounts()
	r.sweeps()
	r.events(streaming)
	r.providers()
	r.cluster()
	r.members()
	r.clock()
	r.snapshots()
	r.trust()
	r.seal()
	r.audit()
	r.groups()
	r.tokens()
	r.clientSecrets()
	r.signIn()
	r.roles()
	r.policies()
	r.access()

	if s.config.Metrics != nil {
		r.list = append(r.list, metricsRoute)
	}
	for _, one := range append(streaming.list, r.list...) {
		s.list = append(s.list, Route{ID: one.id, Method: one.method, Path: one.path, Action: one.action, Public: one.public || one.open, Chosen: one.chosen})
	}
	r.describe()
	description, err := json.Marshal(r.api.OpenAPI())
	if err != nil {
		return fmt.Errorf("describing the API: %w", err)
	}
	s.openAPI = description
	s.router.PathPrefix(vault.Prefix).Handler(s.vault)
	s.on(openAPIPath, s.serveOpenAPI)
	s.on(healthPath, s.serveHealth)
	s.on(readyPath, s.serveReady)
	if s.config.Metrics != nil {
		s.on(metricsPath, s.serveMetrics)
	}
	return nil
}

func (s *Server) serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/vnd.oai.openapi+json;version=3.1")
	_, _ = w.Write(s.openAPI) // a client that went away is nobody's error
}

// finishProblem completes every problem on its way out, whoever raised it.
func finishProblem(ctx huma.Context, _ string, body any) (any, error) {
	if p, ok := body.(*types.Problem); ok {
		if call := callOf(ctx.Context()); call != nil {
			p.Instance = call.instance()
			call.code = p.Code
			prepareHeaders(call.header, p)
		}
	}
	return body, nil
}
