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
	c.get("/ui/environments/{app}/{env}/secrets/{name}/leases", c.listLeasesOfSecret)
	c.form("/ui/leases/revoke", c.revokeLeases)
	c.get("/ui/leases/{id}", c.showLease)
	c.get("/ui/leases/{id}/events", c.exportLease)
	c.form("/ui/leases/{id}/renew", c.renewLease)
	c.form("/ui/leases/{id}/revoke", c.revokeLease)
	c.form("/ui/leases/{id}/retry", c.retryLease)
	c.form("/ui/leases/{id}/forget", c.forgetLease)
	c.form("/ui/environments/{app}/{env}/secrets/{name}/generate", c.generate)
}

// leaseStates are what the list is filtered by; the first is what it begins with.
func leaseStates() []choice {
	return []choice{
		{"live", "Live"}, {"active", "Active"}, {"stuck", "Stuck"}, {"overdue", "Overdue"}, {"missing", "Missing"}, {"revoking", "Revoking"}, {"ended", "Ended"}, {"all", "All"},
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

// leaseConditions are the fields of the filter besides the state.
func leaseConditions() []string {
	return []string{"secret", "account", "username", "connection", "label", "issued", "expires"}
}

// leaseSelector reads which leases are looked for.
func (f *form) leaseSelector() client.LeaseSelector {
	text := func(name string) string { return strings.TrimSpace(f.get(name)) }
	s := client.LeaseSelector{
		States: statesOf(f.get("state")), Account: text("account"), Username: text("username"), Connection: text("connection"), Labels: f.labels("label"),
	}
	// Where secrets live is as good as one of them.
	if secret := text("secret"); secret == "*" || strings.Count(secret, "/") == 1 {
		s.Environments = []string{secret}
	} else {
		s.Secret = secret
	}
	if within := f.duration("expires"); within != nil {
		s.ExpiresBefore = f.page.Now().Add(within.Std())
	}
	if ago := f.duration("issued"); ago != nil {
		s.IssuedAfter = f.page.Now().Add(-ago.Std())
	}
	return s
}

// leaseRow is a lease as the list shows it.
type leaseRow struct {
	types.Lease
	Acts leaseActs
}

// leaseActs are what may be done with a lease now, by whoever looks at it.
type leaseActs struct{ Renew, Revoke, Retry, Forget bool }

// leaseQuestions ask what may be done with leases.
func leaseQuestions(leases ...types.Lease) []client.Question {
	var asked []client.Question
	for _, l := range leases {
		for _, action := range leaseActions(l) {
			asked = append(asked, question(action, "lease/"+l.ID))
		}
	}
	return asked
}

// leaseActions are what a lease's state allows.
func leaseActions(l types.Lease) []string {
	switch {
	case l.Ended():
		return nil
	case l.RevokingAt != nil:
		return []string{"lease:retry", "lease:forget"}
	case l.Renewable:
		return []string{"lease:revoke", "lease:renew"}
	}
	return []string{"lease:revoke"}
}

func (p *page) actsOn(l types.Lease) leaseActs {
	var acts leaseActs
	for _, action := range leaseActions(l) {
		may := p.May(action, "lease/"+l.ID)
		switch action {
		case "lease:renew":
			acts.Renew = may
		case "lease:revoke":
			acts.Revoke = may
		case "lease:retry":
			acts.Retry = may && l.Attempts > 0
		case "lease:forget":
			acts.Forget = may && l.State == "stuck"
		}
	}
	return acts
}

// leasesView is what the list of leases shows.
type leasesView struct {
	Of      string // the only secret whose leases these are; empty: of all
	Filter  *form
	States  []tab
	Leases  []leaseRow
	Pages   pages
	Narrow  bool // something is chosen
	Issued  []choice
	Expires []choice
	Clear   string // the list without conditions

	Choose     bool   // some of them may be revoked together
	RevokeAll  string // the form that revokes all that are chosen by conditions; empty: not offered
	Generate   bool
	Operations []operationRow // that are revoking leases now
}

// Conditions is how many of the filter's fields are set, but for the first one.
func (v leasesView) Conditions() int {
	fields := []string{"account", "username", "label", "issued", "expires"}
	if v.Of != "" {
		fields = fields[1:]
	}
	return v.Filter.Conditions(fields...)
}

// leasePage is how many leases a page shows.
const leasePage = 50

func (c *Console) listLeases(p *page) error { return c.showLeases(p, "") }

func (c *Console) listLeasesOfSecret(p *page) error {
	if !p.Live { // is there such a secret?
		if _, err := p.Client.GetSecret(p.ctx, p.secretName()); err != nil {
			return err
		}
	}
	return c.showLeases(p, p.secretName())
}

func (c *Console) showLeases(p *page, of string) error {
	f := p.form(p.r.URL.Query())
	if of != "" {
		f.Values.Del("secret")
	}
	selector := f.leaseSelector()
	if of != "" {
		selector.Secret = of
	}
	var found types.Page[types.Lease]
	if f.valid() {
		var err error
		found, err = p.Client.ListLeases(p.ctx, selector, client.ListOptions{Limit: leasePage, Cursor: f.get("cursor")})
		if err != nil && !f.refused(err) {
			return err
		}
	}
	asked := leaseQuestions(found.Items...)
	if of != "" {
		asked = append(asked, question("lease:issue", of))
	}
	if err := p.ask(asked...); err != nil {
		return err
	}
	v := leasesView{
		Of: of, Filter: f, States: p.tabs("state", leaseStates()), Pages: p.pagesOf(found.NextCursor), Clear: p.Path(),
		Issued:  []choice{{"", "Any time"}, {"1h", "In the last hour"}, {"24h", "In the last 24 h"}, {"7d", "In the last 7 days"}},
		Expires: []choice{{"", "Any time"}, {"5m", "Within 5 min"}, {"1h", "Within 1 h"}, {"24h", "Within 24 h"}},
	}
	for _, l := range found.Items {
		row := leaseRow{l, p.actsOn(l)}
		v.Leases = append(v.Leases, row)
		v.Choose = v.Choose || row.Acts.Revoke
	}
	for _, name := range leaseConditions() {
		v.Narrow = v.Narrow || f.get(name) != ""
	}
	if state := f.get("state"); v.Choose && (v.Narrow || of != "") && (state == "" || state == "live" || state == "active") {
		v.RevokeAll = revokeAllPath(f.Values, of)
	}
	if p.wants("revoking") {
		if err := p.revoking(&v); err != nil {
			return err
		}
	}
	s := screen{Title: "Leases", Section: "leases", Template: "leases", Data: v, Status: f.Status}
	if of != "" {
		s.Section, s.Crumbs, s.Title = "secrets", p.crumbsTo(p.param("name")), "Leases of "+of[strings.LastIndex(of, "/")+1:]
		v.Generate = p.May("lease:issue", of)
		s.Data = v
	}
	return p.show(s)
}

// revoking finds the operations that end leases now, for their progress to be seen where the leases are.
func (p *page) revoking(v *leasesView) error {
	running, err := p.Client.ListOperations(p.ctx, types.OperationRunning, client.ListOptions{Limit: 20})
	if err != nil {
		return err
	}
	for _, one := range running.Items {
		if one.Kind == types.OperationRevoke && (v.Of == "" || one.Selector.Secret == "" || one.Selector.Secret == v.Of) {
			v.Operations = append(v.Operations, operationOf(one))
		}
	}
	return nil
}

// revokeAllPath is the form that revokes what the conditions of a list choose.
func revokeAllPath(values url.Values, of string) string {
	query := url.Values{}
	for _, name := range append(leaseConditions(), "state") {
		if values.Get(name) != "" {
			query.Set(name, values.Get(name))
		}
	}
	if of != "" {
		query.Set("secret", of)
	}
	return "/ui/leases/revoke?" + query.Encode()
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
