package api

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/netip"
	"strings"

	"broker/access"
	"broker/api/types"
	"broker/fsm"
)

// Access explains decisions. [*access.Decider] implements it.
type Access interface {
	Explain(access.Request) (access.Explanation, error)
	WhoCan(access.Action, access.Resource) ([]access.Holder, error)
	Report(after fsm.AccountName, limit int) (rows []access.Row, next fsm.AccountName, err error)
}

// Asked is part of every POST that asks a question.
type Asked struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"Nothing is changed, so it does nothing"`
}

// AccessExplain asks whether an account may do something, and why.
type AccessExplain struct {
	Asked
	Body types.ExplainSpec
}

func (in AccessExplain) resource() Resource { return Resource{Kind: "account", Name: in.Body.Account} }

// AccessWhoCan asks who may do something.
type AccessWhoCan struct {
	Asked
	Body types.WhoCanSpec
}

func (AccessWhoCan) resource() Resource { return Resource{Kind: "account"} }

// AccessReport asks who may do what.
type AccessReport struct{ Paged }

func (AccessReport) resource() Resource { return Resource{Kind: "account"} }

// AccessCan asks what whoever asks may do.
type AccessCan struct {
	Read
	Questions []string `query:"question,explode" maxItems:"200" doc:"ACTION RESOURCE, e.g. lease:issue payments/production/orders-ro; repeatable"`
}

func (AccessCan) resource() Resource { return Resource{Kind: "account"} }

func (r *routes) access() {
	s := r.server
	register(r, route{id: "access-can", action: "access:explain", method: http.MethodGet, path: "/access/can", summary: "Say what one may do oneself", chosen: true}, s.can)
	register(r, route{id: "access-explain", action: "access:explain", method: http.MethodPost, path: "/access/explain", summary: "Say whether an account may do something, and why"}, s.explainAccess)
	register(r, route{id: "access-who-can", action: "access:explain", method: http.MethodPost, path: "/access/who-can", summary: "Say who may do something, and why"}, s.whoCan)
	register(r, route{id: "access-report", action: "access:report", method: http.MethodGet, path: "/access/report", summary: "Report who may do what where, and when they last did; pages keep an account's rows together"}, s.reportAccess)
}

func (s *Server) explainAccess(_ context.Context, _ *call, in *AccessExplain) (*body[types.Explanation], error) {
	q := access.Request{Who: access.Identity{Account: fsm.AccountName(in.Body.Account)}, Action: access.Action(in.Body.Action)}
	var err error
	if q.On, err = access.ParseResource(in.Body.Resource); err != nil {
		return nil, invalid("resource", err.Error())
	}
	if in.Body.Address != "" {
		if q.Address, err = netip.ParseAddr(in.Body.Address); err != nil {
			return nil, invalid("address", "must be an IP address")
		}
	}
	if in.Body.TTL != nil {
		if q.TTL, err = positive("ttl", in.Body.TTL); err != nil {
			return nil, err
		}
	}
	found, err := s.config.Access.Explain(q)
	if err != nil {
		return nil, err
	}
	out := types.Explanation{
		Allowed: found.Allowed, Account: in.Body.Account, Action: in.Body.Action, Resource: in.Body.Resource,
		Why: found.Sentences, Because: groundsOf(found.Because),
	}
	if found.MaxTTL > 0 {
		most := types.Duration(found.MaxTTL)
		out.MaxTTL = &most
	}
	return &body[types.Explanation]{out}, nil
}

func (s *Server) can(_ context.Context, c *call, in *AccessCan) (*body[types.Page[types.Answer]], error) {
	out := types.Page[types.Answer]{Items: []types.Answer{}}
	var asks []ask
	for _, question := range in.Questions {
		action, resource, _ := strings.Cut(question, " ")
		if err := access.CheckAction(access.Action(action)); err != nil {
			return nil, invalid("question", err.Error())
		}
		on, err := access.ParseResource(resource)
		if err != nil {
			return nil, invalid("question", err.Error())
		}
		asks = append(asks, ask{access.Action(action), on})
		out.Items = append(out.Items, types.Answer{Action: action, Resource: resource})
	}
	err := s.view(c, func(view View) error {
		for i, one := range asks {
			found, err := s.decide(c, one.action, complete(view, one.on))
			if err != nil {
				return err
			}
			out.Items[i].Allowed = found.Allowed
			if found.MaxTTL > 0 {
				most := types.Duration(found.MaxTTL)
				out.Items[i].MaxTTL = &most
			}
		}
		return nil
	})
	return &body[types.Page[types.Answer]]{out}, err
}

func (s *Server) whoCan(_ context.Context, _ *call, in *AccessWhoCan) (*body[types.WhoCan], error) {
	on, err := access.ParseResource(in.Body.Resource)
	if err != nil {
		return nil, invalid("resource", err.Error())
	}
	found, err := s.config.Access.WhoCan(access.Action(in.Body.Action), on)
	if err != nil {
		return nil, err
	}
	out := types.WhoCan{Action: in.Body.Action, Resource: in.Body.Resource, Holders: []types.Holder{}}
	for _, one := range found {
		out.Holders = append(out.Holders, types.Holder{
			Account: string(one.Account), Group: string(one.Group), Why: sentencesOf(one.Because), Because: groundsOf(one.Because),
		})
	}
	return &body[types.WhoCan]{out}, nil
}

func (s *Server) reportAccess(_ context.Context, _ *call, in *AccessReport) (*body[types.Page[types.AccessRow]], error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	rows, next, err := s.config.Access.Report(fsm.AccountName(after), in.limit())
	if err != nil {
		return nil, err
	}
	page := types.Page[types.AccessRow]{Items: []types.AccessRow{}}
	if next != "" {
		page.NextCursor = base64.RawURLEncoding.EncodeToString([]byte(next))
	}
	for _, r := range rows {
		page.Items = append(page.Items, types.AccessRow{
			Account: string(r.Account), Place: string(r.Place), Action: string(r.Action), Why: sentencesOf(r.Because),
			UsedAt: instant(r.UsedAt), Tracked: r.Recorded,
		})
	}
	return &body[types.Page[types.AccessRow]]{page}, nil
}

func sentencesOf(because []access.Reason) []string {
	out := []string{}
	for _, r := range because {
		out = append(out, r.Sentence())
	}
	return out
}

func groundsOf(because []access.Reason) []types.Ground {
	out := []types.Ground{}
	for _, r := range because {
		out = append(out, types.Ground{
			What: r.What, Name: r.Name, Rule: r.Rule, Binding: string(r.Binding), Scope: r.Scope, Group: string(r.Group), Forbids: r.Forbids,
		})
	}
	return out
}
