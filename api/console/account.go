package console

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"broker/api/client"
	"broker/api/types"
)

// accountView is what the page of an account shows; parts that the session may not see are not there.
type accountView struct {
	Tabs     []tab
	Account  types.Account
	State    string
	Own      bool
	Direct   []types.RoleBinding // roles of its own
	Grouped  []types.RoleBinding // roles of its groups
	Roles    bool                // what roles it has may be seen
	Tokens   []tokenRow
	Secrets  []types.ClientSecret
	Leases   []types.Lease
	More     bool // leases
	Password bool // may be set
}

// tokenRow is a token as lists show it.
type tokenRow struct {
	types.Token
	Self bool // the session's own
}

// showAccount shows an account with all that belongs to it.
func (p *page) showAccount(name string) error {
	a, err := p.Client.GetAccount(p.ctx, name)
	if err != nil {
		return err
	}
	v := accountView{Account: a, State: accountState(a), Own: a.Name == p.Account}
	if p.Path() == "/ui/account" {
		v.Tabs, err = p.accessTabs("/ui/account", accountQuestions(a.Name)...)
	} else {
		err = p.ask(accountQuestions(a.Name)...)
	}
	if err != nil {
		return err
	}
	v.Password = a.Kind == "user" && (v.Own || p.May("account:password", "account/"+a.Name))
	for id, part := range map[string]func(*page, *accountView) error{
		"account": accountRoles, "account-tokens": accountTokens, "account-secrets": accountSecrets, "account-leases": accountLeases,
	} {
		if !p.wants(id) {
			continue
		}
		if err := part(p, &v); err != nil {
			return err
		}
	}
	s := screen{Title: a.Name, Section: "accounts", Crumbs: []crumb{{"Accounts", "/ui/accounts"}}, Template: "account", Data: v}
	if v.Own && p.Path() == "/ui/account" {
		s.Title, s.Crumbs = "My account", nil
	}
	return p.show(s)
}

// accountQuestions ask what may be done with an account and what belongs to it.
func accountQuestions(name string) []client.Question {
	asked := []client.Question{
		question("role:list", "role"), question("role:bind", "*"), question("role:unbind", "*"), question("group:list", "group"), question("group:update", "group"),
	}
	for _, action := range []string{
		"account:update", "account:delete", "account:password", "client-secret:list", "client-secret:create", "client-secret:delete", "token:create", "token:list", "token:delete",
		"access:explain",
	} {
		asked = append(asked, question(action, "account/"+name))
	}
	return asked
}

func accountRoles(p *page, v *accountView) error {
	if !p.May("role:list", "role") {
		return nil
	}
	v.Roles = true
	direct, _, err := every(1000, func(list client.ListOptions) (types.Page[types.RoleBinding], error) {
		return p.Client.ListRoleBindings(p.ctx, client.BindingFilter{Account: v.Account.Name}, list)
	})
	if err != nil {
		return err
	}
	v.Direct = direct
	for _, group := range v.Account.Groups {
		found, _, err := every(1000, func(list client.ListOptions) (types.Page[types.RoleBinding], error) {
			return p.Client.ListRoleBindings(p.ctx, client.BindingFilter{Group: group}, list)
		})
		if err != nil {
			return err
		}
		v.Grouped = append(v.Grouped, found...)
	}
	return nil
}

func accountTokens(p *page, v *accountView) (err error) {
	if v.Own || p.May("token:list", "account/"+v.Account.Name) {
		v.Tokens, _, err = p.tokensOf(v.Account.Name)
	}
	return err
}

// tokensOf returns an account's tokens, newest first, and whether there are more of them than are shown.
func (p *page) tokensOf(account string) ([]tokenRow, bool, error) {
	found, more, err := every(1000, func(list client.ListOptions) (types.Page[types.Token], error) {
		return p.Client.ListTokens(p.ctx, account, list)
	})
	if err != nil {
		return nil, false, err
	}
	slices.Reverse(found)
	return p.tokenRows(found), more, nil
}

// tokenRows tells the session's own token from others.
func (p *page) tokenRows(tokens []types.Token) []tokenRow {
	var rows []tokenRow
	for _, one := range tokens {
		rows = append(rows, tokenRow{one, one.Accessor == p.self})
	}
	return rows
}

func accountSecrets(p *page, v *accountView) (err error) {
	if v.Account.Kind == "service" && p.May("client-secret:list", "account/"+v.Account.Name) {
		v.Secrets, _, err = every(1000, func(list client.ListOptions) (types.Page[types.ClientSecret], error) {
			return p.Client.ListClientSecrets(p.ctx, v.Account.Name, list)
		})
	}
	return err
}

func accountLeases(p *page, v *accountView) error {
	found, err := p.Client.ListLeases(p.ctx, client.LeaseSelector{Account: v.Account.Name, States: statesOf("live")}, client.ListOptions{Limit: 10})
	v.Leases, v.More = found.Items, found.NextCursor != ""
	return err
}

// disableAccount shows what disabling ends before it does.
func (c *Console) disableAccount(p *page) error {
	name, off := p.param("name"), true
	f := p.form(url.Values{})
	change := types.AccountChange{Disabled: &off, DeleteMadeTokens: f.on("delete_made_tokens")}
	would, err := p.Client.UpdateAccount(p.ctx, name, change, client.DryRun())
	if err != nil {
		return err
	}
	if p.posted() {
		done, err := p.Client.UpdateAccount(p.ctx, name, change, f.version())
		if err == nil {
			message := name + " is disabled."
			if done.Operation != nil && done.LiveLeases > 0 {
				message = name + " is disabled; its leases are being revoked."
			}
			return p.done(message, "/ui/accounts/"+name)
		}
		if !f.refused(err) {
			return err
		}
	} else {
		now, err := p.Client.GetAccount(p.ctx, name) // a dry run tells the version that would be
		if err != nil {
			return err
		}
		f.Values.Set("version", fmt.Sprint(now.Version))
	}
	v := plainForm{
		Form: f, Back: "/ui/accounts/" + name, Button: "Disable " + name, Danger: true,
		Text:  []string{"Its tokens, sessions and client secrets are refused at once, and its leases are revoked. It can be enabled again; revoked leases stay revoked."},
		Facts: []fact{{Name: "Live leases", Value: fmt.Sprint(would.LiveLeases)}, {Name: "Tokens it made for others", Value: fmt.Sprint(len(would.MadeTokens))}},
	}
	if n := len(would.MadeTokens); n > 0 {
		var made []string
		for _, one := range would.MadeTokens[:min(n, 5)] {
			made = append(made, one.Account+" …"+short(one.Accessor))
		}
		v.Facts = append(v.Facts, fact{Name: "For", Value: strings.Join(made, ", "), Mono: true})
		v.Fields = []field{f.field("delete_made_tokens", "Delete the tokens that it made for others", "type", "checkbox", "help", "Whoever had the account may have given them to himself.")}
	}
	return p.plain("Disable "+name, "accounts", v)
}

func (c *Console) enableAccount(p *page) error {
	a, err := p.Client.GetAccount(p.ctx, p.param("name"))
	if err != nil {
		return err
	}
	f, off := p.form(url.Values{"version": {fmt.Sprint(a.Version)}}), false
	if p.posted() {
		if _, err := p.Client.UpdateAccount(p.ctx, a.Name, types.AccountChange{Disabled: &off}, f.version()); err == nil {
			return p.done(a.Name+" is enabled.", "/ui/accounts/"+a.Name)
		} else if !f.refused(err) {
			return err
		}
	}
	return p.plain("Enable "+a.Name, "accounts", plainForm{
		Form: f, Back: "/ui/accounts/" + a.Name, Button: "Enable " + a.Name,
		Text: []string{"Its tokens and client secrets are good again, as far as they have not ended by themselves."},
	})
}

// setPassword gives an account a password; one's own needs the present one.
func (c *Console) setPassword(p *page) error {
	a, err := p.Client.GetAccount(p.ctx, p.param("name"))
	if err != nil {
		return err
	}
	own := a.Name == p.Account
	back := "/ui/accounts/" + a.Name
	if own {
		back = "/ui/account"
	}
	f := p.form(url.Values{})
	if p.posted() {
		change := types.PasswordChange{Password: f.get("password"), Current: f.get("current_password")}
		switch {
		case f.on("remove"):
			change.Password = ""
		case change.Password == "":
			f.Errors["password"] = "must be at least 12 characters"
		case change.Password != f.get("again"):
			f.Errors["again"] = "is not the same as above"
		}
		if f.valid() {
			if err := p.Client.SetPassword(p.ctx, a.Name, change, f.once()); err == nil {
				return p.done("The password is changed.", back)
			} else if !f.refused(err) {
				return err
			}
		}
	}
	v := plainForm{Form: f, Back: back, Button: "Set password", Text: []string{"Sessions and tokens that there are stay as they are."}}
	if own && a.HasPassword {
		v.Fields = append(v.Fields, f.field("current_password", "Present password", "type", "password", "autocomplete", "current-password", "required", true, "focus", true))
	}
	v.Fields = append(v.Fields,
		f.field("password", "New password", "type", "password", "autocomplete", "new-password", "help", "At least 12 characters."),
		f.field("again", "Once more", "type", "password", "autocomplete", "new-password"),
	)
	if a.HasPassword {
		v.Fields = append(v.Fields, f.field("remove", "No password any more", "type", "checkbox", "help", "Signing in by name and password ends then."))
	}
	return p.plain("Password of "+a.Name, "accounts", v)
}
