package console

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"broker/api/client"
	"broker/api/types"
)

func (c *Console) accountRoutes() {
	c.get("/ui/accounts", c.listAccounts)
	c.form("/ui/accounts/new", needing("account:create", "account", c.makeAccount))
	c.get("/ui/accounts/{name}", func(p *page) error { return p.showAccount(p.param("name")) })
	c.form("/ui/accounts/{name}/change", needing("account:update", "account/{name}", c.changeAccount))
	c.form("/ui/accounts/{name}/disable", needing("account:update", "account/{name}", c.disableAccount))
	c.form("/ui/accounts/{name}/enable", needing("account:update", "account/{name}", c.enableAccount))
	c.form("/ui/accounts/{name}/password", c.setPassword)
	c.form("/ui/accounts/{name}/delete", needing("account:delete", "account/{name}", c.deleteAccount))
}

// accessTabs are the screens about who may do what, as far as the session may see them; here is one's path. What else the
// page has to know is asked in the same question.
func (p *page) accessTabs(here string, besides ...client.Question) ([]tab, error) {
	screens := []struct {
		label, path, action, resource string
	}{
		{"Accounts", "/ui/accounts", "account:list", "account"},
		{"Groups", "/ui/groups", "group:list", "group"},
		{"Roles", "/ui/roles", "role:list", "role"},
		{"Policies", "/ui/policies", "policy:list", "policy"},
		{"Tokens", "/ui/tokens", "token:list", "token"},
		{"Who may what", "/ui/access", "access:explain", "account"},
		{"Report", "/ui/access/report", "access:report", "account"},
		{"My account", "/ui/account", "", ""},
	}
	asked := besides
	for _, one := range screens {
		if one.action != "" {
			asked = append(asked, question(one.action, one.resource))
		}
	}
	if err := p.ask(asked...); err != nil {
		return nil, err
	}
	var list []tab
	for _, one := range screens {
		if one.action == "" || p.may[question(one.action, one.resource)] {
			list = append(list, tab{Label: one.label, Path: one.path, Here: one.path == here})
		}
	}
	return list, nil
}

// accountsView is what the list of accounts shows.
type accountsView struct {
	Tabs     []tab
	Filter   *form
	Kinds    []choice
	Accounts []types.Account
	More     bool // there are others, which a filter would find
	Narrow   bool
	Pages    pages
}

// accountPage is how many accounts a page shows; mostAccounts how many are looked at for a filter.
const (
	accountPage  = 100
	mostAccounts = 5000
)

func (c *Console) listAccounts(p *page) error {
	tabs, err := p.accessTabs("/ui/accounts", question("account:create", "account"))
	if err != nil {
		return err
	}
	if !p.May("account:list", "account") {
		return p.redirect("/ui/account")
	}
	f := p.form(nil)
	v := accountsView{Tabs: tabs, Filter: f, Kinds: []choice{{"", "All"}, {"user", "People"}, {"service", "Services"}, {"disabled", "Disabled"}}}
	v.Narrow = f.get("q") != "" || f.get("kind") != ""
	if !v.Narrow {
		found, err := p.Client.ListAccounts(p.ctx, client.ListOptions{Limit: accountPage, Cursor: f.get("cursor")})
		if err != nil {
			return err
		}
		v.Accounts, v.Pages = found.Items, p.pagesOf(found.NextCursor)
	} else {
		all, more, err := every(mostAccounts, func(list client.ListOptions) (types.Page[types.Account], error) {
			return p.Client.ListAccounts(p.ctx, list)
		})
		if err != nil {
			return err
		}
		v.More = more
		for _, one := range all {
			if !fitsAccount(one, f.get("q"), f.get("kind")) {
				continue
			}
			if len(v.Accounts) == accountPage {
				v.More = true
				break
			}
			v.Accounts = append(v.Accounts, one)
		}
	}
	return p.show(screen{Title: "Accounts", Section: "accounts", Template: "accounts", Data: v})
}

func fitsAccount(a types.Account, text, kind string) bool {
	if kind == "disabled" && !a.Disabled || kind != "" && kind != "disabled" && a.Kind != kind {
		return false
	}
	text = strings.ToLower(strings.TrimSpace(text))
	return strings.Contains(strings.ToLower(a.Name+" "+a.Description+" "+strings.Join(a.Groups, " ")), text)
}

// accountState is how an account is, as a pill says it.
func accountState(a types.Account) string {
	switch {
	case a.BeingDeletedBy != "":
		return "being deleted"
	case a.Disabled:
		return "disabled"
	}
	return "active"
}

// limits reads what bounds an account's leases.
func (f *form) limits() (most uint64, rate string) {
	if text := strings.TrimSpace(f.get("max_leases")); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			f.Errors["max_leases"] = "must be a whole number; empty: no limit"
		}
		most = n
	}
	return most, strings.TrimSpace(f.get("issue_rate"))
}

// limitFields are what limits reads, and the description.
func (f *form) limitFields() []field {
	return []field{
		f.field("description", "Description"),
		f.field("max_leases", "Live leases at most", "placeholder", "no limit", "help", "At one time."),
		f.field("issue_rate", "Leases in a time", "placeholder", "no limit", "help", "Such as 10/1m: ten in a minute."),
	}
}

func (c *Console) makeAccount(p *page) error {
	f := p.form(url.Values{"kind": {p.query("kind")}})
	most, rate := f.limits()
	if p.posted() {
		spec := types.AccountSpec{Name: f.need("name", "want a name, such as alice or ci-deploy"), Kind: f.get("kind"), Description: f.get("description"), MaxLeases: most, IssueRate: rate}
		if f.valid() {
			made, err := p.Client.CreateAccount(p.ctx, spec, f.once())
			if err == nil {
				return p.doneAt("The account is made.", "/ui/accounts/"+made.Name)
			}
			if !f.refused(err) {
				return err
			}
		}
	}
	return p.plain("New account", "accounts", plainForm{
		Form: f, Back: "/ui/accounts", Button: "Make account",
		Text: []string{"It may do nothing until it is given a role, or is taken into a group that has one."},
		Fields: append([]field{
			f.field("name", "Name", "required", true, "focus", true, "mono", true, "help", "Lower case letters, digits, dots, dashes and underscores."),
			f.field("kind", "Kind", "options", []choice{{"user", "A person"}, {"service", "A service: a program"}}),
		}, f.limitFields()...),
	})
}

func (c *Console) changeAccount(p *page) error {
	a, err := p.Client.GetAccount(p.ctx, p.param("name"))
	if err != nil {
		return err
	}
	initial := url.Values{"description": {a.Description}, "issue_rate": {a.IssueRate}, "version": {fmt.Sprint(a.Version)}}
	if a.MaxLeases > 0 {
		initial.Set("max_leases", fmt.Sprint(a.MaxLeases))
	}
	f := p.form(initial)
	most, rate := f.limits()
	if p.posted() && f.valid() {
		text := f.get("description")
		if _, err := p.Client.UpdateAccount(p.ctx, a.Name, types.AccountChange{Description: &text, MaxLeases: &most, IssueRate: &rate}, f.version()); err == nil {
			return p.done("The account is changed.", "/ui/accounts/"+a.Name)
		} else if !f.refused(err) {
			return err
		}
	}
	return p.plain("Change "+a.Name, "accounts", plainForm{Form: f, Back: "/ui/accounts/" + a.Name, Button: "Save", Fields: f.limitFields()})
}

func (c *Console) deleteAccount(p *page) error {
	a, err := p.Client.GetAccount(p.ctx, p.param("name"))
	if err != nil {
		return err
	}
	f := p.form(url.Values{"version": {fmt.Sprint(a.Version)}})
	if p.posted() {
		if f.on("revoke_leases") {
			op, err := p.Client.DeleteAccountWithLeases(p.ctx, a.Name, f.get("reason"), f.version())
			if err == nil {
				return p.doneAt("The account goes once its leases are revoked.", operationPath(op.ID))
			}
			if !f.refused(err) {
				return err
			}
		} else {
			err := p.Client.DeleteAccount(p.ctx, a.Name, f.version())
			if err == nil {
				return p.doneAt("The account is deleted.", "/ui/accounts")
			}
			if !f.refused(err) {
				return err
			}
		}
	}
	v := plainForm{
		Form: f, Back: "/ui/accounts/" + a.Name, Button: "Delete account", Danger: true,
		Text:  []string{"Its tokens, client secrets and roles go with it. This cannot be undone. Disabling an account stops it as well, and can be."},
		Facts: []fact{{Name: "Account", Value: a.Name, Mono: true}, {Name: "Live leases", Value: fmt.Sprint(a.LiveLeases)}},
	}
	if a.LiveLeases > 0 || f.on("revoke_leases") {
		v.Fields = []field{
			f.field("revoke_leases", "Revoke its "+count(a.LiveLeases, "live lease", "live leases"), "type", "checkbox", "help", "Needed while there are some: the account goes when the last one is gone."),
			f.field("reason", "Reason", "help", "Kept in the leases' history."),
		}
	}
	return p.plain("Delete "+a.Name, "accounts", v)
}
