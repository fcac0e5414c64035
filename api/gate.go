package api

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"broker/access"
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

// extending is an input that asks for a lease to live longer.
type extending interface {
	life(l fsm.Lease) time.Duration // of the lease, from its beginning on
}

// own is an input that is about what belongs to whoever asks, unless it says to whom else.
type own interface {
	owner(caller fsm.AccountName) fsm.AccountName
}

// enter is the gate that every route passes before it reads or changes anything: may the caller do this, is it
// recorded, is the caller's token good for one more request. The decision stays with the call, for the limits that come
// with it.
func (s *Server) enter(ctx context.Context, c *call, one route, in named) error {
	if one.open {
		return nil
	}
	// The state may be newer than the one that told who asks: a read waits for it. The request is judged by one state.
	if c.identifyAgain != nil && s.config.State.Index() != c.knownAt {
		who, err := c.identifyAgain()
		if err != nil {
			return err
		}
		c.identity = who
	}
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
	if !c.decision.Allowed {
		record.Action, record.On = c.refused.action, c.refused.on // of all that the request needs
	}
	if err := s.recordRequest(ctx, c, record); err != nil {
		return err
	}
	if c.identity.Counted && one.lasts {
		p := problem(codeForbidden, "a token with a limited number of uses is no good for this: it is not one request that the leader answers")
		p.Hint = "use a token without such a limit"
		return p
	}
	if c.identity.Counted { // also what is refused: else it could be tried out for ever
		if err := s.config.Broker.UseToken(ctx, c.request(false), c.identity.Token); err != nil {
			return err
		}
	}
	if !c.decision.Allowed {
		return s.forbidden(c, c.refused)
	}
	return nil
}

// permit decides on a request: on its route's action, and on whatever else it needs.
func (s *Server) permit(c *call, one route, in named) (access.Decision, Resource, error) {
	on := in.resource()
	if o, ok := in.(own); ok {
		on.Owner = o.owner(c.identity.Account)
	}
	var err error
	if incomplete(on) {
		err = s.config.State.Peek(func(view View) {
			id := on.Name
			on = complete(view, on)
			if e, ok := in.(extending); ok {
				if found, there := view.Lease(fsm.LeaseID(id)); there {
					c.askedTTL = e.life(found)
				}
			}
			if l, ok := in.(lasting); ok {
				if c.askedTTL = l.length(); c.askedTTL == 0 {
					found, _ := view.Secret(fsm.NewSecretName(fsm.EnvironmentName(on.Environment), on.Secret))
					c.askedTTL = found.DefaultTTL
				}
			}
		})
	}
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
		c.recorded = true // or would be, if it could
		if errors.Is(err, context.Canceled) {
			s.log.DebugContext(ctx, "whoever made a request has gone away before it was recorded", "error", err)
			return err
		}
		s.log.ErrorContext(ctx, "a request was refused because the audit log cannot be written", "error", err)
		return problem(codeAuditUnavailable, "the audit log cannot be written at this node, so no request is served; the ends of leases go on")
	}
	c.recorded = true
	return nil
}

// recordRefusal has it recorded that a request was refused before it was known what it wants. Whoever is refused
// often fills no disk: beyond some a second they are only counted in metrics and logged.
func (s *Server) recordRefusal(ctx context.Context, c *call, began time.Time) {
	if !c.recorded && c.status >= http.StatusBadRequest && !c.open && s.refusals.Allow() {
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
