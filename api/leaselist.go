package api

import (
	"context"
	"slices"
	"strings"
	"time"

	"broker/api/types"
	"broker/fsm"
)

// LeaseList asks for the leases that a selector selects.
type LeaseList struct {
	Paged
	Environments  []string  `query:"environment,explode" doc:"app/env, app/* or *; any of them"`
	Secret        string    `query:"secret" doc:"Full name: app/env/name"`
	Connection    string    `query:"connection"`
	Account       string    `query:"account"`
	Username      string    `query:"username" doc:"The login's name"`
	Labels        []string  `query:"label,explode" doc:"key=value; all of them"`
	States        []string  `query:"state,explode" doc:"pending, active, revoking, revoked, expired, failed, stuck or overdue; any of them"`
	Token         string    `query:"token" doc:"Accessor of the token it was issued with"`
	IssuedAfter   time.Time `query:"issued_after"`
	IssuedBefore  time.Time `query:"issued_before"`
	ExpiresAfter  time.Time `query:"expires_after"`
	ExpiresBefore time.Time `query:"expires_before"`
	Sort          string    `query:"sort" enum:"-created_at,created_at" doc:"-created_at, newest first, unless said"`
}

func (LeaseList) resource() Resource { return Resource{Kind: "lease"} }

func (s *Server) listLeases(_ context.Context, c *call, in *LeaseList) (*body[types.Page[types.Lease]], error) {
	selector, err := in.selector(s.config.Now())
	if err != nil {
		return nil, err
	}
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	page := fsm.LeasePage{After: fsm.LeaseID(after), Limit: in.limit() + 1}
	if in.Sort == "created_at" {
		page.Order = fsm.OldestFirst
	}
	var list []fsm.Lease
	err = s.view(c, func(view View) error {
		list = view.Leases(selector, page)
		return nil
	})
	return pageOf(list, in.limit(), s.leaseOf, func(l fsm.Lease) string { return string(l.ID) }), err
}

// shownStates are the words that a lease's state is filtered by.
func shownStates() []string {
	return []string{"pending", "active", "revoking", "revoked", "expired", "failed", "stuck", "overdue"}
}

// selector reads the query. A value that can select nothing is refused rather than answered with an
// empty list, which would read as "there is none".
func (in *LeaseList) selector(now time.Time) (fsm.LeaseSelector, error) {
	out := fsm.LeaseSelector{
		Secret:        fsm.SecretName(in.Secret),
		Connection:    fsm.ConnectionName(in.Connection),
		Account:       fsm.AccountName(in.Account),
		Username:      in.Username,
		Token:         fsm.TokenAccessor(in.Token),
		IssuedAfter:   fsm.At(in.IssuedAfter),
		IssuedBefore:  fsm.At(in.IssuedBefore),
		ExpiresAfter:  fsm.At(in.ExpiresAfter),
		ExpiresBefore: fsm.At(in.ExpiresBefore),
		Now:           fsm.At(now),
	}
	for _, text := range split(in.Environments) {
		if !fsm.ValidPattern(text) {
			return out, invalid("environment", "must be app/env, app/* or *")
		}
		out.Environments = append(out.Environments, fsm.Pattern(text))
	}
	if env, name := out.Secret.Split(); in.Secret != "" && (!fsm.ValidEnvironmentName(string(env)) || !fsm.ValidName(name)) {
		return out, invalid("secret", "must be a full name: app/env/name")
	}
	for _, state := range split(in.States) {
		if !slices.Contains(shownStates(), state) {
			return out, invalid("state", "must be one of "+strings.Join(shownStates(), ", "))
		}
		out.States = append(out.States, state)
	}
	for _, label := range in.Labels {
		key, value, ok := strings.Cut(label, "=")
		if !ok || !fsm.ValidLabelKey(key) {
			return out, invalid("label", "must be key=value")
		}
		if out.Labels == nil {
			out.Labels = map[string]string{}
		}
		out.Labels[key] = value
	}
	return out, nil
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
