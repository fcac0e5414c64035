package api

import (
	"context"
	"strings"
	"time"

	"broker/access"
	"broker/api/types"
	"broker/fsm"
)

// LeaseList asks for the leases that a selector selects.
type LeaseList struct {
	Paged
	IDs           []string  `query:"id,explode" doc:"Leases by their ids; any of them"`
	Environments  []string  `query:"environment,explode" doc:"app/env, app/* or *; any of them"`
	Secret        string    `query:"secret" doc:"Full name: app/env/name"`
	Connection    string    `query:"connection"`
	Account       string    `query:"account"`
	Username      string    `query:"username" doc:"The login's name"`
	Labels        []string  `query:"label,explode" doc:"key=value; all of them"`
	States        []string  `query:"state,explode" doc:"pending, active, revoking, revoked, expired, failed, overdue, stuck, missing or forgotten; any of them"`
	Token         string    `query:"token" doc:"Accessor of the token it was issued with"`
	Operation     string    `query:"operation" doc:"The operation that revokes them"`
	IssuedAfter   time.Time `query:"issued_after"`
	IssuedBefore  time.Time `query:"issued_before"`
	ExpiresAfter  time.Time `query:"expires_after"`
	ExpiresBefore time.Time `query:"expires_before"`
	Sort          string    `query:"sort" enum:"-created_at,created_at" doc:"-created_at, newest first, unless said"`
}

func (LeaseList) resource() Resource { return Resource{Kind: access.KindLease} }

func (s *Server) listLeases(_ context.Context, c *call, in *LeaseList) (*body[types.Page[types.Lease]], error) {
	selector, err := selectorFrom("", in.selector(), s.config.Now())
	if err != nil {
		return nil, err
	}
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	page := fsm.LeasePage{}
	if in.Sort == "created_at" {
		page.Order = fsm.OldestFirst
	}
	var list []fsm.Lease
	var next string
	err = s.view(c, func(view View) error {
		sight := s.sightOf(c, view)
		if sight.reach("lease:list") == access.Nowhere {
			if selector.Account != "" && selector.Account != c.identity.Account {
				return sight.err
			}
			selector.Account = c.identity.Account // spares looking at those of everybody
		}
		list, next = gather(in.limit(), after,
			func(after string, limit int) []fsm.Lease {
				page.After, page.Limit = fsm.LeaseID(after), limit
				return view.Leases(selector, page)
			},
			func(l fsm.Lease) string { return string(l.ID) },
			func(l *fsm.Lease) bool { return sight.lease("lease:list", l) })
		return sight.err
	})
	return pageFrom(list, next, s.leaseOf), err
}

// selector returns what the query chooses.
func (in *LeaseList) selector() types.LeaseSelector {
	return types.LeaseSelector{
		ID: split(in.IDs), Environment: split(in.Environments), Secret: in.Secret, Connection: in.Connection, Account: in.Account,
		Username: in.Username, Label: in.Labels, State: split(in.States), Token: in.Token, Operation: in.Operation,
		IssuedAfter: in.IssuedAfter, IssuedBefore: in.IssuedBefore, ExpiresAfter: in.ExpiresAfter, ExpiresBefore: in.ExpiresBefore,
	}
}

// split takes repeated parameters and comma-separated ones alike.
func split(values []string) []string {
	var out []string
	for _, value := range values {
		for part := range strings.SplitSeq(value, ",") {
			if part != "" {
				out = append(out, part)
			}
		}
	}
	return out
}
