package api

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"broker/access"
	"broker/api/types"
	"broker/fsm"
)

// ask is a permission that a request needs.
type ask struct {
	action Action
	on     Resource
}

// demanding is an input that needs more than its route's action: what, depends on what it says and on what is there.
type demanding interface {
	demands(one route, s *Server, view View) []ask
}

// lasting is an input that asks for a lease of some length.
type lasting interface{ length() time.Duration }

// own is an input that is about what belongs to whoever asks, unless it says to whom else.
type own interface {
	owner(caller fsm.AccountName) fsm.AccountName
}

// enter is the gate that every route passes before it reads or changes anything: may the caller do this, is it
// recorded, is the caller's token good for one more request. The decision stays with the call, for the limits that come
// with it.
func (s *Server) enter(ctx context.Context, c *call, one route, in named) error {
	on := in.resource()
	if one.public || one.chosen {
		c.decision = access.Decision{Allowed: true} // what is shown is chosen by what the caller may see
	} else {
		var err error
		if c.decision, on, err = s.permit(c, one, in); err != nil {
			return err
		}
	}
	record := c.requestRecord(access.StageServed)
	record.Action, record.On, record.Allowed, record.Because = one.action, on, c.decision.Allowed, c.decision.Because
	if err := s.recordRequest(ctx, c, record); err != nil {
		return err
	}
	switch {
	case !c.decision.Allowed:
		return s.forbidden(c, c.refused)
	case c.identity.Counted && one.lasts:
		p := problem(codeForbidden, "a token with a limited number of uses is no good for this: it lasts longer than a request")
		p.Hint = "use a token without such a limit"
		return p
	case c.identity.Counted:
		return s.config.Broker.UseToken(ctx, c.request(false), c.identity.Token)
	}
	return nil
}

// permit decides on a request: on its route's action, and on whatever else it needs.
func (s *Server) permit(c *call, one route, in named) (access.Decision, Resource, error) {
	on := in.resource()
	if o, ok := in.(own); ok {
		on.Owner = o.owner(c.identity.Account)
	}
	err := s.config.State.Peek(func(view View) {
		on = complete(view, on)
		if l, ok := in.(lasting); ok {
			if c.askedTTL = l.length(); c.askedTTL == 0 {
				found, _ := view.Secret(fsm.NewSecretName(fsm.EnvironmentName(on.Environment), on.Secret))
				c.askedTTL = found.DefaultTTL
			}
		}
	})
	asks := []ask{{one.action, on}}
	if d, ok := in.(demanding); ok && err == nil {
		err = s.config.State.View(func(view View) error {
			asks = append(asks, d.demands(one, s, view)...)
			return nil
		})
	}
	if err != nil {
		return access.Decision{}, on, err
	}
	var first access.Decision
	for i, one := range asks {
		decision, err := s.decide(c, one.action, one.on)
		if err != nil {
			return decision, on, err
		}
		if !decision.Allowed {
			c.refused = one
			return decision, on, nil
		}
		if i == 0 {
			first = decision
		}
	}
	return first, on, nil
}

// decide asks the Authorizer for the caller of a request.
func (s *Server) decide(c *call, action Action, on Resource) (access.Decision, error) {
	return s.config.Authorizer.Decide(access.Request{Who: c.identity, Action: action, On: on, TTL: c.askedTTL, Address: c.client})
}

// complete adds to a resource what a reading of the state tells of it. Of what is not there it adds nothing: then only
// who may do it everywhere learns that.
func complete(view View, on Resource) Resource {
	switch on.Kind {
	case access.KindSecret:
		if found, ok := view.Secret(fsm.NewSecretName(fsm.EnvironmentName(on.Environment), on.Secret)); ok {
			on.Connection = found.Connection
		}
	case access.KindLease:
		if found, ok := view.Lease(fsm.LeaseID(on.Name)); ok {
			return leaseResource(&found)
		}
	case access.KindOperation:
		if found, ok := view.Operation(fsm.OperationID(on.Name)); ok {
			return operationResource(&found)
		}
	case access.KindLock:
		if found, ok := view.Lock(fsm.LockID(on.Name)); ok {
			return lockResource(&found)
		}
	case access.KindToken:
		if found, ok := view.Token(fsm.TokenAccessor(on.Name)); ok && on.Name != "" {
			on.Owner = found.Account
		}
	}
	return on
}

func leaseResource(l *fsm.Lease) Resource {
	env, secret := l.Secret.Split()
	return Resource{
		Kind: access.KindLease, Environment: fsm.Pattern(env), Secret: secret, Name: string(l.ID), Owner: l.Account, Connection: l.Connection,
	}
}

// operationResource is where an operation works: in one environment or pattern, else everywhere.
func operationResource(o *fsm.Operation) Resource {
	on := Resource{Kind: access.KindOperation, Name: string(o.ID), Owner: o.By.Account}
	on.Environment, on.Secret = placeOfSelector(o.Selector)
	return on
}

func lockResource(l *fsm.Lock) Resource {
	on := Resource{Kind: access.KindLock, Name: string(l.ID)}
	on.Environment, on.Secret = placeOfSelector(l.Scope.Selector())
	return on
}

func secretResource(s *fsm.Secret) Resource {
	env, secret := s.Name.Split()
	return Resource{Kind: access.KindSecret, Environment: fsm.Pattern(env), Secret: secret, Connection: s.Connection}
}

// placeOfSelector is the one place that all leases of a selector are in; empty: there is none.
func placeOfSelector(selector fsm.LeaseSelector) (fsm.Pattern, string) {
	if selector.Secret != "" {
		env, secret := selector.Secret.Split()
		return fsm.Pattern(env), secret
	}
	if len(selector.Environments) == 1 {
		return selector.Environments[0], ""
	}
	return "", ""
}

// beneath returns what is asked of whoever acts on all that a selector may choose: the action on each of its places, and
// on every environment and secret that is there now, since a policy may forbid one of them.
func beneath(view View, action Action, kind access.Kind, selector fsm.LeaseSelector) []ask {
	if selector.Secret != "" {
		env, secret := selector.Secret.Split()
		return []ask{{action, complete(view, Resource{Kind: access.KindSecret, Environment: fsm.Pattern(env), Secret: secret}).As(kind)}}
	}
	patterns := selector.Environments
	if len(patterns) == 0 {
		patterns = []fsm.Pattern{"*"}
	}
	var asks []ask
	for _, pattern := range patterns {
		asks = append(asks, ask{action, Resource{Kind: kind, Environment: pattern}})
	}
	eachSecret(view, func(secret fsm.Secret) {
		env, name := secret.Name.Split()
		for _, pattern := range patterns {
			if pattern.Matches(env) {
				asks = append(asks, ask{action, Resource{Kind: kind, Environment: fsm.Pattern(env), Secret: name, Connection: secret.Connection}})
				return
			}
		}
	})
	return asks
}

// eachSecret visits every secret.
func eachSecret(view View, visit func(fsm.Secret)) {
	var after fsm.SecretName
	for {
		list := view.Secrets("", after, types.MaxPage)
		for _, one := range list {
			visit(one)
		}
		if len(list) < types.MaxPage {
			return
		}
		after = list[len(list)-1].Name
	}
}

// forbidden is the answer to who may not do something. What has an id that nobody guesses is not there for who may
// not even read it.
func (s *Server) forbidden(c *call, refused ask) error {
	if refused.on.Name != "" {
		var read Action
		switch refused.on.Kind {
		case access.KindLease:
			read = "lease:get"
		case access.KindOperation:
			read = "operation:get"
		case access.KindLock:
			read = "lock:get"
		case access.KindToken:
			read = "token:get"
		}
		if read != "" {
			seen, err := s.decide(c, read, refused.on)
			if err != nil {
				return err
			}
			if !seen.Allowed {
				return notFound(string(refused.on.Kind), refused.on.Name)
			}
		}
	}
	on := refused.on.String()
	p := problem(codeForbidden, "account \""+string(c.identity.Account)+"\" may not "+string(refused.action)+" on "+on)
	if why := c.decision.Because; len(why) > 0 && why[0].Forbids {
		p.Detail += ": the policy \"" + why[0].Name + "\" forbids it"
	}
	p.Hint = "brokerctl access explain " + string(c.identity.Account) + " " + string(refused.action) + " " + on + " tells why"
	with(p, "action", string(refused.action))
	with(p, "resource", on)
	return p
}

// recordRequest has a request recorded before it is acted on, or refuses it.
func (s *Server) recordRequest(ctx context.Context, c *call, record access.RequestRecord) error {
	if s.config.Audit == nil {
		return nil
	}
	if err := s.config.Audit.Request(ctx, record); err != nil {
		s.log.ErrorContext(ctx, "a request was refused because the audit log cannot be written", "error", err)
		c.recorded = true // or would be, if it could
		return problem(codeAuditUnavailable, "the audit log cannot be written at this node, so no request is served; the ends of leases go on")
	}
	c.recorded = true
	return nil
}

// recordRefusal has it recorded that a request was refused before it was known what it wants. Whoever is refused
// often fills no disk: beyond some a second they are only counted in metrics and logged.
func (s *Server) recordRefusal(ctx context.Context, c *call, began time.Time) {
	if !c.recorded && c.status >= http.StatusBadRequest && !isPublic(c.path) && s.refusals.Allow() {
		s.recordOutcome(ctx, c, access.StageRefused, c.status, c.code, began)
	}
}

// recordOutcome has it recorded how a request ended.
func (s *Server) recordOutcome(ctx context.Context, c *call, stage access.Stage, status int, code string, began time.Time) {
	if s.config.Audit == nil {
		return
	}
	s.config.Audit.Outcome(ctx, access.OutcomeRecord{
		ID: c.id, Stage: stage, Status: status, Code: code, Lease: c.lease, Took: s.config.Now().Sub(began),
		Method: c.method, Path: c.path, Address: c.address, Account: c.identity.Account,
	})
}

func (c *call) requestRecord(stage access.Stage) access.RequestRecord {
	return access.RequestRecord{
		ID: c.id, Stage: stage, Node: c.node, Address: c.address, UserAgent: c.userAgent,
		Account: c.identity.Account, Token: c.identity.Token, Method: c.method, Path: c.path, DryRun: c.dryRun, IdempotencyKey: c.keyValue,
	}
}

// statused is an answer that knows its status.
type statused interface{ status() int }

func (c *created[T]) status() int { return c.Status }

// statusOf is the status of an answer without an error.
func statusOf(out any, one route) int {
	if s, ok := out.(statused); ok {
		return s.status()
	}
	return cmp.Or(one.status, http.StatusOK)
}

// sight is what the caller of a request sees of a reading of the state. It asks once for each of the places that
// things are in, not for each thing.
type sight struct {
	server *Server
	call   *call
	view   View
	known  map[ask]bool

	reaches map[Action]access.Reach
	err     error // of the first question that could not be answered; from then on nothing is seen
}

func (s *Server) sightOf(c *call, view View) *sight {
	return &sight{server: s, call: c, view: view, known: map[ask]bool{}, reaches: map[Action]access.Reach{}}
}

// sees reports whether the caller may do something that shows a resource.
func (g *sight) sees(action Action, on Resource) bool {
	if g.reach(action) == access.Everywhere {
		return true
	}
	key := ask{action, on}
	if seen, ok := g.known[key]; ok {
		return seen
	}
	decision, err := g.server.decide(g.call, action, on)
	if err != nil {
		g.err = errors.Join(g.err, err)
	}
	seen := err == nil && decision.Allowed
	g.known[key] = seen
	return seen
}

func (g *sight) reach(action Action) access.Reach {
	if reach, ok := g.reaches[action]; ok {
		return reach
	}
	reach, err := g.server.config.Authorizer.Reach(g.call.identity, action)
	if err != nil {
		g.err, reach = errors.Join(g.err, err), access.Somewhere
	}
	g.reaches[action] = reach
	return reach
}

// lease judges a lease by its secret and its holder, not by its id: those of one secret and account are alike.
func (g *sight) lease(action Action, l *fsm.Lease) bool {
	on := leaseResource(l)
	on.Name = ""
	return g.sees(action, on)
}

// allEvents reports whether the caller sees all of history.
func (g *sight) allEvents() bool {
	for _, action := range []Action{"event:list", "event:system", "event:access", "lease:history"} {
		if g.reach(action) != access.Everywhere {
			return false
		}
	}
	return true
}

// event judges an event by what it is about: by the history of a lease, else by the environment or secret, else as what
// is in no environment.
func (g *sight) event(e *fsm.Event) bool {
	if e.Lease != "" {
		if lease, ok := g.view.Lease(e.Lease); ok {
			return g.lease("lease:history", &lease)
		}
		return g.sees("event:system", Resource{Kind: access.KindEvent})
	}
	action, on := Action("event:list"), Resource{Kind: access.KindEvent}
	switch noun, _, _ := strings.Cut(string(e.Type), "."); noun {
	case "environment":
		on.Environment = fsm.Pattern(e.Subject)
	case "secret":
		env, secret := fsm.SecretName(e.Subject).Split()
		on.Environment, on.Secret = fsm.Pattern(env), secret
	case "account":
		action, on.Owner = "event:access", fsm.AccountName(e.Subject)
	case "token", "client_secret":
		action, on.Owner = "event:access", fsm.AccountName(e.Details["account"])
	case "group", "wrapped", "role", "policy":
		action = "event:access"
	default:
		action = "event:system"
	}
	return g.sees(action, on)
}

// gather reads one page of what is seen, and the name after which the next one begins; empty: there is none.
func gather[R any](limit int, after string, read func(after string, limit int) []R, name func(R) string, seen func(*R) bool) (list []R, next string) {
	for scanned := 0; scanned < maxScan; {
		rows := read(after, limit+1)
		for i := range rows {
			if !seen(&rows[i]) {
				continue
			}
			if len(list) == limit {
				return list, name(list[limit-1])
			}
			list = append(list, rows[i])
		}
		if len(rows) <= limit {
			return list, ""
		}
		after = name(rows[len(rows)-1])
		scanned += len(rows)
	}
	return list, after
}
