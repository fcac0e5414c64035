package api

import (
	"context"
	"encoding/base64"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"broker/access"
	"broker/api/types"
	"broker/broker"
	"broker/fsm"
)

// routes registers the routes of a Server, a file per noun.
type routes struct {
	server *Server
	api    huma.API
	list   []route
}

// named is an input that says what it is about; every input is.
type named interface{ resource() Resource }

// route is what differs between routes.
type route struct {
	id      string // of the operation: lease-issue
	action  Action // asked of the Authorizer: lease:issue
	method  string
	path    string // below /api/v1
	summary string
	status  int // of a success; zero: 200

	public bool // a sign-in: nobody is identified yet, and the request itself brings the proof
	chosen bool // a list that shows whoever asks what he may see, be it nothing
	open   bool // for everybody, without a token, a permission or a record: it tells what is public
	lasts  bool // it may last longer than a request, or is answered where nothing can be counted
}

// register adds a route. The handler runs only behind the gate; what it returns as an error is answered as a problem.
func register[I any, O any, P interface {
	*I
	named
}](r *routes, one route, handle func(context.Context, *call, *I) (*O, error)) {
	s := r.server
	if _, known := access.Actions[one.action]; !known && !one.public && !one.open {
		panic("the route " + one.id + " has no permission: its action is not in the table") // at every start, so at the first test
	}
	r.list = append(r.list, one)
	operation := huma.Operation{
		OperationID:   one.id,
		Method:        one.method,
		Path:          apiPrefix + one.path,
		Summary:       one.summary,
		DefaultStatus: one.status,
		// The chain has bounded the body already; huma counts one byte more as too many.
		MaxBodyBytes: s.config.MaxBody + 1,
		// Also what does not pass validation has a route.
		Middlewares: huma.Middlewares{func(ctx huma.Context, next func(huma.Context)) {
			callOf(ctx.Context()).route = apiPrefix + one.path
			next(ctx)
		}},
	}
	if one.public || one.open {
		operation.Security = []map[string][]string{}
	}
	huma.Register(r.api, operation, func(ctx context.Context, in *I) (*O, error) { return serve[I, O, P](ctx, s, one, in, handle) })
}

// serve has a handler answer behind the gate. Its error is a *types.Problem.
func serve[I any, O any, P interface {
	*I
	named
}](ctx context.Context, s *Server, one route, in *I, handle func(context.Context, *call, *I) (*O, error)) (*O, error) {
	c, began := callOf(ctx), s.config.Now()
	out, err := (*O)(nil), s.enter(ctx, c, one, P(in))
	if err == nil {
		out, err = handle(ctx, c, in)
	}
	if isWrite(one.method) {
		// From here on reads see what a write did.
		c.header.Set(types.HeaderIndex, strconv.FormatUint(s.config.State.Index(), 10))
	}
	if err == nil {
		if !one.open {
			s.recordOutcome(ctx, c, access.StageServed, statusOf(out, one), "", began)
		}
		return out, nil
	}
	p, internal := problemOf(err, s.config.Now())
	if !one.open {
		s.recordOutcome(ctx, c, access.StageServed, p.Status, p.Code, began)
	}
	if internal {
		s.log.ErrorContext(ctx, "a request failed", "operation", one.id, "error", err)
	}
	c.notLeader = p.Code == codeNotLeader
	return nil, p
}

// view reads the state and tells its index in the answer.
func (s *Server) view(c *call, read func(View) error) error {
	return s.config.State.View(func(view View) error {
		c.header.Set(types.HeaderIndex, strconv.FormatUint(view.Meta().Index, 10))
		return read(view)
	})
}

// body is an answer with a body.
type body[T any] struct{ Body T }

// created is an answer whose status depends on what happened.
type created[T any] struct {
	Status int
	Body   T
}

// nothing is an answer without a body.
type nothing struct{}

// Write is part of every input that changes something.
type Write struct {
	DryRun bool `query:"dry_run" doc:"Validate and show the effect, change nothing"`
}

// Keyed is part of every POST.
type Keyed struct {
	Write
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"Makes repeating the request safe: the same key with the same body gets the same answer"`
}

// Conditional is part of every change of an object that exists.
type Conditional struct {
	Write
	IfMatch string `header:"If-Match" doc:"Refuse (412) when the object's version is another"`
}

// Read is part of every input that reads.
type Read struct {
	Consistency string `query:"consistency" enum:"linearizable,session,stale" doc:"How new the state must be; linearizable unless said"`
	MaxStale    string `query:"max_stale" doc:"With consistency=stale: refuse when the node may be further behind, e.g. 5s"`
	MinIndex    string `header:"Broker-Min-Index" doc:"A Broker-Index of an earlier answer: wait until the node has it"`
}

// Paged is part of every input that lists.
type Paged struct {
	Read
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" doc:"Items per page; 100 unless said"`
	Cursor string `query:"cursor" doc:"next_cursor of the page before"`
}

func (p Paged) limit() int {
	if p.Limit == 0 {
		return 100
	}
	return min(p.Limit, types.MaxPage)
}

// after returns what the cursor stands for.
func (p Paged) after() (string, error) {
	decoded, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	if err != nil {
		return "", invalid("cursor", "must be the next_cursor of an earlier answer")
	}
	return string(decoded), nil
}

// pageOf converts a list that was read with one item more than the limit.
func pageOf[R, T any](list []R, limit int, convert func(R) T, name func(R) string) *body[types.Page[T]] {
	page := types.Page[T]{Items: []T{}}
	for i, one := range list {
		if i == limit {
			page.NextCursor = base64.RawURLEncoding.EncodeToString([]byte(name(list[i-1])))
			break
		}
		page.Items = append(page.Items, convert(one))
	}
	return &body[types.Page[T]]{page}
}

// pageFrom converts what gather has read.
func pageFrom[R, T any](list []R, next string, convert func(R) T) *body[types.Page[T]] {
	page := types.Page[T]{Items: make([]T, 0, len(list))}
	for _, one := range list {
		page.Items = append(page.Items, convert(one))
	}
	if next != "" {
		page.NextCursor = base64.RawURLEncoding.EncodeToString([]byte(next))
	}
	return &body[types.Page[T]]{page}
}

// notFound is the problem of a name that is not there.
func notFound(noun, name string) error {
	return &fsm.Refusal{Code: fsm.CodeNotFound, Message: "there is no " + noun + " " + strconv.Quote(name)}
}

// createdStatus is the status of an object that was made, or would be.
func createdStatus(dryRun bool) int {
	if dryRun {
		return http.StatusOK
	}
	return http.StatusCreated
}

func (c *call) change(in Conditional) (broker.Request, uint64, error) {
	version, err := ifVersion(in.IfMatch)
	return c.request(in.DryRun), version, err
}
