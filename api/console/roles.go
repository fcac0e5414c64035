package console

import (
	"net/url"
	"strings"

	"broker/api/client"
	"broker/api/types"
)

func (c *Console) roleRoutes() {
	c.get("/ui/roles", c.listRoles)
	c.form("/ui/roles/give", needing("role:bind", "*", c.giveRole))
	c.form("/ui/roles/take/{id}", needing("role:unbind", "*", c.takeRole))
}

// roleRow is a role with what it allows, by noun.
type roleRow struct {
	types.Role
	Nouns []roleNoun
}

type roleNoun struct {
	Noun  string
	Verbs []string
}

func roleRows(roles []types.Role) []roleRow {
	var rows []roleRow
	for _, one := range roles {
		row := roleRow{Role: one}
		for _, action := range one.Actions { // which are sorted
			noun, verb, _ := strings.Cut(action, ":")
			if n := len(row.Nouns); n == 0 || row.Nouns[n-1].Noun != noun {
				row.Nouns = append(row.Nouns, roleNoun{Noun: noun})
			}
			last := &row.Nouns[len(row.Nouns)-1]
			last.Verbs = append(last.Verbs, verb)
		}
		rows = append(rows, row)
	}
	return rows
}

// rolesView is what the page of roles shows.
type rolesView struct {
	Tabs     []tab
	Roles    []roleRow
	Filter   *form
	Choices  []choice
	Bindings []types.RoleBinding
	Narrow   bool
	Pages    pages
}

func (c *Console) listRoles(p *page) error {
	tabs, err := p.accessTabs("/ui/roles", question("role:bind", "*"), question("role:unbind", "*"))
	if err != nil {
		return err
	}
	roles, err := p.Client.ListRoles(p.ctx)
	if err != nil {
		return err
	}
	f := p.form(nil)
	filter := client.BindingFilter{Role: f.get("role"), Account: strings.TrimSpace(f.get("account")), Group: strings.TrimSpace(f.get("group")), Scope: strings.TrimSpace(f.get("scope"))}
	found, err := p.Client.ListRoleBindings(p.ctx, filter, client.ListOptions{Limit: 100, Cursor: f.get("cursor")})
	if err != nil && !f.refused(err) {
		return err
	}
	v := rolesView{
		Tabs: tabs, Roles: roleRows(roles.Items), Filter: f, Choices: roleChoices(roles.Items, "All"), Bindings: found.Items,
		Narrow: filter != client.BindingFilter{}, Pages: p.pagesOf(found.NextCursor),
	}
	return p.show(screen{Title: "Roles", Section: "accounts", Template: "roles", Data: v, Status: f.Status})
}

func roleChoices(roles []types.Role, none string) []choice {
	list := []choice{{"", none}}
	for _, one := range roles {
		list = append(list, choice{one.Name, one.Name})
	}
	return list
}

// bindingSpec reads who is given which role where.
func (f *form) bindingSpec() types.RoleBindingSpec {
	text := func(name string) string { return strings.TrimSpace(f.get(name)) }
	return types.RoleBindingSpec{Role: f.get("role"), Account: text("account"), Group: text("group"), Scope: text("scope")}
}

// bindingFields are what bindingSpec reads. To whom is asked for as far as the address does not say it.
func (f *form) bindingFields(roles []types.Role) []field {
	account := f.field("account", "Account", "mono", true, "pick", "account")
	list := []field{f.field("role", "Role", "options", roleChoices(roles, "Choose…"))}
	switch p := f.page; {
	case !p.posted() && p.query("account") != "":
		list = append(list, account)
	case !p.posted() && p.query("group") != "":
		list = append(list, f.field("group", "Group", "mono", true, "pick", "group"))
	default:
		list = append(list, account, f.field("group", "Or group", "mono", true, "pick", "group"))
	}
	return append(list, f.field("scope", "Where", "required", true, "mono", true, "placeholder", "payments/*", "pick", "scope",
		"help", "*, app/*, app/env or app/env/secret. What is in no environment, such as accounts, needs *.", "presets", []choice{{"*", "everywhere"}}))
}

func (c *Console) giveRole(p *page) error {
	roles, err := p.Client.ListRoles(p.ctx)
	if err != nil {
		return err
	}
	f := p.form(url.Values{"account": {p.query("account")}, "group": {p.query("group")}, "role": {p.query("role")}})
	spec := f.bindingSpec()
	back := "/ui/roles"
	switch {
	case spec.Account != "":
		back = "/ui/accounts/" + spec.Account
	case spec.Group != "":
		back = "/ui/groups/" + spec.Group
	}
	if p.posted() {
		if spec.Account == "" && spec.Group == "" {
			f.Errors["account"] = "want an account or a group"
		}
		f.need("role", "choose a role")
		f.need("scope", "want *, app/*, app/env or app/env/secret")
		if f.valid() {
			made, err := p.Client.CreateRoleBinding(p.ctx, spec, f.once())
			if err == nil {
				message := "The role is given."
				if len(made.Warnings) > 0 {
					message = made.Warnings[0]
				}
				return p.done(message, back)
			}
			if !f.refused(err) {
				return err
			}
		}
	}
	v := plainForm{Form: f, Back: back, Button: "Give role", Fields: f.bindingFields(roles.Items)}
	for _, one := range roles.Items {
		v.Facts = append(v.Facts, fact{Name: one.Name, Value: one.Help})
	}
	return p.plain("Give a role", "accounts", v)
}

func (c *Console) takeRole(p *page) error {
	one, err := p.Client.GetRoleBinding(p.ctx, p.param("id"))
	if err != nil {
		return err
	}
	back := "/ui/roles"
	if one.Account != "" {
		back = "/ui/accounts/" + one.Account
	}
	f := p.form(url.Values{})
	if p.posted() {
		if err := p.Client.DeleteRoleBinding(p.ctx, one.ID); err == nil {
			return p.done("The role is taken away.", back)
		} else if !f.refused(err) {
			return err
		}
	}
	return p.plain("Take a role away", "accounts", plainForm{
		Form: f, Back: back, Button: "Take away", Danger: true,
		Text:  []string{"It holds no more from the next request on. Leases that were issued by it live on."},
		Facts: []fact{{Name: "Role", Value: one.Role}, {Name: "Account", Value: one.Account}, {Name: "Group", Value: one.Group}, {Name: "Where", Value: one.Scope, Mono: true}},
	})
}
