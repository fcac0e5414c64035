package console

import (
	"slices"
	"strings"
	"time"

	"broker/api/client"
	"broker/api/types"
)

func (c *Console) accessRoutes() {
	c.get("/ui/access", c.explain)
	c.get("/ui/access/report", c.accessReport)
	c.get("/ui/access/report.csv", c.accessReportFile)
}

// explainView asks and answers who may do what.
type explainView struct {
	Tabs    []tab
	Form    *form
	Actions []choice
	Answer  *types.Explanation
	Holders *types.WhoCan
}

// explain says whether an account may do something and why, or, when no account is named, who may.
func (c *Console) explain(p *page) error {
	tabs, err := p.accessTabs("/ui/access")
	if err != nil {
		return err
	}
	roles, err := p.Client.ListRoles(p.ctx)
	if err != nil && client.Code(err) != "forbidden" {
		return err
	}
	f := p.form(nil)
	v := explainView{Tabs: tabs, Form: f, Actions: actionChoices(roles.Items)}
	account, action, resource := strings.TrimSpace(f.get("account")), strings.TrimSpace(f.get("action")), strings.TrimSpace(f.get("resource"))
	if action != "" && resource == "" {
		f.Errors["resource"] = "want a secret app/env/name, an environment, KIND/NAME such as connection/orders-db, or cluster"
	}
	if action != "" && f.valid() {
		var err error
		if account != "" {
			var answer types.Explanation
			if answer, err = p.Client.Explain(p.ctx, types.ExplainSpec{Account: account, Action: action, Resource: resource, TTL: f.duration("ttl"), Address: strings.TrimSpace(f.get("address"))}); err == nil {
				v.Answer = &answer
			}
		} else {
			var found types.WhoCan
			if found, err = p.Client.WhoCan(p.ctx, types.WhoCanSpec{Action: action, Resource: resource}); err == nil {
				v.Holders = &found
			}
		}
		if err != nil && !f.refused(err) {
			return err
		}
	}
	return p.show(screen{Title: "Who may what", Section: "accounts", Template: "explain", Data: v, Status: f.Status})
}

// actionChoices are all actions, those that people ask for most first.
func actionChoices(roles []types.Role) []choice {
	var all []string
	for _, one := range roles {
		all = append(all, one.Actions...)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if len(all) == 0 { // roles may not be read
		all = []string{"lease:issue", "secret:update", "connection:update"}
	}
	list := []choice{{"", "Choose…"}, {"lease:issue", "lease:issue"}}
	for _, one := range all {
		if one != "lease:issue" {
			list = append(list, choice{one, one})
		}
	}
	return list
}

// reportView is a page of the report of who may do what.
type reportView struct {
	Tabs  []tab
	Rows  []reportRow
	Pages pages
}

// reportRow is a line of it; accounts are named once.
type reportRow struct {
	types.AccessRow
	First bool // of its account
}

func (c *Console) accessReport(p *page) error {
	tabs, err := p.accessTabs("/ui/access/report")
	if err != nil {
		return err
	}
	found, err := p.Client.AccessReport(p.ctx, client.ListOptions{Limit: 100, Cursor: p.query("cursor")})
	if err != nil {
		return err
	}
	v := reportView{Tabs: tabs, Pages: p.pagesOf(found.NextCursor)}
	before := ""
	for _, one := range found.Items {
		v.Rows = append(v.Rows, reportRow{one, one.Account != before})
		before = one.Account
	}
	return p.show(screen{Title: "Access report", Section: "accounts", Template: "access-report", Data: v})
}

// accessReportFile is the report as a file, for whoever reviews it.
func (c *Console) accessReportFile(p *page) error {
	rows := each(func(list client.ListOptions) (types.Page[types.AccessRow], error) {
		return p.Client.AccessReport(p.long(), list)
	})
	return table(p, "access-report", []string{"account", "place", "action", "why", "used_at"}, rows, func(one types.AccessRow) []string {
		used := ""
		if one.UsedAt != nil {
			used = one.UsedAt.UTC().Format(time.RFC3339)
		}
		return []string{one.Account, one.Place, one.Action, cell(strings.Join(one.Why, "; ")), used}
	})
}
