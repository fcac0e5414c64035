package console

import (
	"net/url"
	"slices"
	"strings"

	"broker/api/client"
	"broker/api/types"
)

func (c *Console) leaseRoutes() {
	c.get("/ui/leases", c.listLeases)
	c.form("/ui/leases/{id}/revoke", c.revokeLease)
}

// leaseStates are what the list is filtered by; the first is what it begins with.
func leaseStates() []choice {
	return []choice{
		{"live", "Live"}, {"active", "Active"}, {"stuck", "Stuck"}, {"overdue", "Overdue"}, {"revoking", "Revoking"}, {"ended", "Ended"}, {"all", "All"},
	}
}

func statesOf(filter string) []string {
	switch filter {
	case "", "live":
		return []string{"pending", "active", "revoking"}
	case "ended":
		return []string{"revoked", "expired", "failed"}
	case "all":
		return nil
	}
	return []string{filter}
}

// leasesView is what the list of leases shows.
type leasesView struct {
	Filter  *form
	States  []tab
	Leases  []types.Lease
	Next    string // the following page; empty: there is none
	First   string // the first page; empty: this is it
	Narrow  bool   // something is chosen
	Expires []choice
	Labels  string
}

// leasePage is how many leases a page shows.
const leasePage = 50

func (c *Console) listLeases(p *page) error {
	f := p.form(p.r.URL.Query())
	selector := client.LeaseSelector{
		States: statesOf(f.get("state")), Secret: f.get("secret"), Account: f.get("account"), Username: f.get("username"),
		Connection: f.get("connection"), Labels: f.labels("label"),
	}
	if within := f.duration("expires"); within != nil {
		selector.ExpiresBefore = p.Now().Add(within.Std())
	}
	var found types.Page[types.Lease]
	if f.valid() {
		var err error
		found, err = p.Client.ListLeases(p.ctx, selector, client.ListOptions{Limit: leasePage, Cursor: f.get("cursor")})
		if err != nil && !f.refused(err) {
			return err
		}
	}
	var asked []client.Question
	for _, lease := range found.Items {
		asked = append(asked, client.Question{Action: "lease:revoke", Resource: "lease/" + lease.ID}, client.Question{Action: "lease:renew", Resource: "lease/" + lease.ID})
	}
	if err := p.ask(asked...); err != nil {
		return err
	}
	view := leasesView{
		Filter: f, Leases: found.Items, States: p.tabs("state", leaseStates()),
		Expires: []choice{{"", "Any time"}, {"5m", "Within 5 min"}, {"1h", "Within 1 h"}, {"24h", "Within 24 h"}},
	}
	for _, name := range []string{"secret", "account", "username", "connection", "label", "expires"} {
		view.Narrow = view.Narrow || f.get(name) != ""
	}
	if found.NextCursor != "" {
		view.Next = p.with("cursor", found.NextCursor)
	}
	if f.get("cursor") != "" {
		view.First = p.with("cursor", "")
	}
	return p.show(screen{Title: "Leases", Section: "leases", Template: "leases", Data: view, Status: f.Status})
}

// tab is one of several ways to look at a screen.
type tab struct {
	Label, Path string
	Here        bool
}

// tabs are links that set a value of the query; the first one is what no value means.
func (p *page) tabs(name string, choices []choice) []tab {
	now := p.query(name)
	var list []tab
	for i, one := range choices {
		value := one.Value
		if i == 0 {
			value = ""
		}
		list = append(list, tab{one.Label, p.with(name, value, "cursor", ""), now == value || i == 0 && now == one.Value})
	}
	return list
}

// with is the page's address with values of its query changed; empty ones are left out.
func (p *page) with(pairs ...string) string {
	query := url.Values{}
	for name, values := range p.r.URL.Query() {
		if slices.ContainsFunc(values, func(v string) bool { return strings.TrimSpace(v) != "" }) {
			query[name] = values
		}
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			query.Del(pairs[i])
			continue
		}
		query.Set(pairs[i], pairs[i+1])
	}
	if len(query) == 0 {
		return p.Path()
	}
	return p.Path() + "?" + query.Encode()
}

// leaseForm is a form about one lease.
type leaseForm struct {
	Lease types.Lease
	Form  *form
}

func (c *Console) revokeLease(p *page) error {
	lease, err := p.Client.GetLease(p.ctx, p.param("id"))
	if err != nil {
		return err
	}
	f := p.form(url.Values{})
	if p.posted() {
		done, err := p.Client.RevokeLease(p.ctx, lease.ID, types.RevokeSpec{Reason: f.get("reason")}, f.once())
		if err == nil {
			message := "The lease is revoked: its login is gone."
			if !done.Ended() {
				message = "The lease is being revoked; that goes on by itself."
			}
			return p.done(message, "/ui/leases")
		}
		if !f.refused(err) {
			return err
		}
	}
	return p.dialog(screen{
		Title: "Revoke lease", Section: "leases", Crumbs: []crumb{{"Leases", "/ui/leases"}}, Template: "lease-revoke",
		Data: leaseForm{lease, f}, Status: f.Status,
	})
}
