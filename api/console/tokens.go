package console

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"broker/api/client"
	"broker/api/types"
)

func (c *Console) tokenRoutes() {
	c.get("/ui/tokens", c.listTokens)
	c.form("/ui/tokens/new", c.makeToken)
	c.form("/ui/tokens/{accessor}/delete", c.deleteToken)
	c.form("/ui/accounts/{name}/client-secrets/new", needing("client-secret:create", "account/{name}", c.makeClientSecret))
	c.form("/ui/accounts/{name}/client-secrets/{id}/delete", needing("client-secret:delete", "account/{name}", c.deleteClientSecret))
	c.get("/ui/account", func(p *page) error { return p.showAccount(p.Account) })
	c.form("/ui/account/end-others", c.endOthers)
}

// tokensView is what the list of tokens shows.
type tokensView struct {
	Tabs   []tab
	Filter *form
	Tokens []tokenRow
	Narrow bool
	Pages  pages
}

func (c *Console) listTokens(p *page) error {
	f := p.form(nil)
	found, err := p.Client.ListTokens(p.ctx, strings.TrimSpace(f.get("account")), client.ListOptions{Limit: 100, Cursor: f.get("cursor")})
	if err != nil && !f.refused(err) {
		return err
	}
	v := tokensView{Filter: f, Narrow: f.get("account") != "", Pages: p.pagesOf(found.NextCursor), Tokens: p.tokenRows(found.Items)}
	var asked []client.Question
	for _, one := range found.Items {
		asked = append(asked, question("token:delete", "account/"+one.Account))
	}
	if v.Tabs, err = p.accessTabs("/ui/tokens", asked...); err != nil {
		return err
	}
	return p.show(screen{Title: "Tokens", Section: "accounts", Template: "tokens", Data: v, Status: f.Status})
}

// shownOnce is a value that is shown this once.
type shownOnce struct {
	Text   string   // what it is
	Values []choice // labels and what is to be copied
	Facts  []fact
	Back   string
}

// uses reads how often something may be used, and from where.
func (f *form) uses() (uses int, cidrs []string) {
	if text := strings.TrimSpace(f.get("uses")); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			f.Errors["uses"] = "must be a whole number; empty: any number"
		}
		uses = n
	}
	return uses, strings.FieldsFunc(f.get("cidrs"), func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\r' })
}

func (f *form) useFields() []field {
	return []field{
		f.field("uses", "Uses", "placeholder", "any number"),
		f.field("cidrs", "Networks", "mono", true, "placeholder", "from anywhere", "help", "Such as 10.1.0.0/16; separated by commas."),
	}
}

func (c *Console) makeToken(p *page) error {
	f := p.form(url.Values{"account": {p.query("account")}})
	uses, cidrs := f.uses()
	spec := types.TokenSpec{Account: strings.TrimSpace(f.get("account")), TTL: f.duration("ttl"), Uses: uses, CIDRs: cidrs, Description: f.get("description")}
	back := "/ui/tokens"
	if spec.Account != "" {
		back = "/ui/accounts/" + spec.Account
	}
	if p.posted() && f.valid() {
		made, err := p.Client.CreateToken(p.ctx, spec, f.once())
		if err == nil {
			v := shownOnce{
				Text: "Copy the token now: it is kept nowhere and not shown again.", Back: back, Values: []choice{{made.Token, "Token"}},
				Facts: []fact{{Name: "Account", Value: made.Account}, {Name: "Accessor", Value: made.Accessor, Mono: true}},
			}
			if made.ExpiresAt != nil {
				v.Facts = append(v.Facts, fact{Name: "Valid until", Value: timeOf(p.Now(), made.ExpiresAt).Full})
			}
			return p.dialog(screen{Title: "The new token", Section: "accounts", Template: "shown-once", Data: v})
		}
		if !f.refused(err) {
			return err
		}
	}
	v := plainForm{
		Form: f, Back: back, Button: "Make token",
		Text: []string{"Whoever has it acts as the account. It is shown once."},
	}
	if spec.Account == p.Account {
		v.Text = []string{"Whoever has it acts as you. It ends with this session at the latest, since it is made by it: for one that lasts, use the command line."}
	}
	v.Fields = append([]field{
		f.field("account", "Account", "mono", true, "pick", "account", "placeholder", p.Account, "focus", spec.Account == ""),
		f.field("description", "Description", "focus", spec.Account != "", "help", "What it is for."),
		f.field("ttl", "Valid for", "placeholder", "12h for people, 24h for services", "presets", endPresets("1h", "24h", "7d", "30d")),
	}, f.useFields()...)
	return p.plain("New token", "accounts", v)
}

func (c *Console) deleteToken(p *page) error {
	one, err := p.Client.GetToken(p.ctx, p.param("accessor"))
	if err != nil {
		return err
	}
	back := "/ui/accounts/" + one.Account
	f := p.form(url.Values{})
	if p.posted() {
		gone, err := p.Client.DeleteToken(p.ctx, one.Accessor)
		if err == nil {
			message := "The token is deleted."
			if n := len(gone) - 1; n > 0 {
				message = "The token is deleted, and " + count(n, "token that was", "tokens that were") + " made with it."
			}
			return p.done(message, back)
		}
		if !f.refused(err) {
			return err
		}
	}
	v := plainForm{
		Form: f, Back: back, Button: "Delete token", Danger: true,
		Text: []string{"It is refused at once, and so are tokens that were made with it. Leases that it was used for live on."},
		Facts: []fact{
			{Name: "Account", Value: one.Account}, {Name: "Description", Value: one.Description}, {Name: "Accessor", Value: one.Accessor, Mono: true},
		},
	}
	if self, err := p.Client.GetToken(p.ctx, "self"); err == nil && (self.Accessor == one.Accessor || self.Parent == one.Accessor) {
		v.Warn = "This session goes with it: you are signed out."
	}
	return p.plain("Delete token", "accounts", v)
}

func (c *Console) makeClientSecret(p *page) error {
	name := p.param("name")
	f := p.form(url.Values{})
	uses, cidrs := f.uses()
	spec := types.ClientSecretSpec{
		Description: f.get("description"), TTL: f.duration("ttl"), Uses: uses, CIDRs: cidrs, TokenTTL: f.duration("token_ttl"), WrapTTL: f.duration("wrap_ttl"),
	}
	back := "/ui/accounts/" + name
	if p.posted() && f.valid() {
		made, err := p.Client.CreateClientSecret(p.ctx, name, spec, f.once())
		if err == nil {
			v := shownOnce{
				Text: "Copy the client secret now: it is kept nowhere and not shown again.", Back: back,
				Values: []choice{{made.ClientSecret, "Client secret"}}, Facts: []fact{{Name: "Client id", Value: made.ClientID, Mono: true}, {Name: "Id", Value: made.ID, Mono: true}},
			}
			if w := made.Wrapping; w != nil {
				v.Text = "Hand this token to the program: it takes the client secret with it, once. When somebody took it before, the program is told."
				v.Values = []choice{{w.Token, "Wrapping token"}}
				v.Facts = append(v.Facts, fact{Name: "To be taken until", Value: timeOf(p.Now(), w.ExpiresAt).Full})
			}
			return p.dialog(screen{Title: "The new client secret", Section: "accounts", Template: "shown-once", Data: v})
		}
		if !f.refused(err) {
			return err
		}
	}
	return p.plain("New client secret of "+name, "accounts", plainForm{
		Form: f, Back: back, Button: "Make client secret",
		Text: []string{"A program signs in with it as " + name + " and gets tokens that live shortly."},
		Fields: append([]field{
			f.field("description", "Description", "focus", true, "help", "Where it is used."),
			f.field("ttl", "Valid for", "placeholder", "for ever", "presets", endPresets("24h", "30d", "90d")),
			f.field("token_ttl", "Tokens by it live", "placeholder", "as long as others", "presets", endPresets("15m", "1h", "12h")),
			f.field("wrap_ttl", "Wrapped for", "placeholder", "not wrapped", "presets", endPresets("5m", "1h"), "help", "Show a token in its place, by which it can be taken once within this time."),
		}, f.useFields()...),
	})
}

func (c *Console) deleteClientSecret(p *page) error {
	name, id := p.param("name"), p.param("id")
	f := p.form(url.Values{})
	if p.posted() {
		if err := p.Client.DeleteClientSecret(p.ctx, name, id); err == nil {
			return p.done("The client secret is deleted.", "/ui/accounts/"+name)
		} else if !f.refused(err) {
			return err
		}
	}
	return p.plain("Delete client secret", "accounts", plainForm{
		Form: f, Back: "/ui/accounts/" + name, Button: "Delete client secret", Danger: true,
		Text:  []string{"Nobody signs in with it any more. Tokens that it brought are good until they end."},
		Facts: []fact{{Name: "Account", Value: name}, {Name: "Id", Value: id, Mono: true}},
	})
}

// endOthers ends one's own sessions but this one.
func (c *Console) endOthers(p *page) error {
	rows, _, err := p.tokensOf(p.Account)
	if err != nil {
		return err
	}
	parents := map[string]string{}
	self := ""
	for _, one := range rows {
		parents[one.Accessor] = one.Parent
		if one.Self {
			self = one.Accessor
		}
	}
	var own []string // this session and what it was made with: it would go with them
	for at := self; at != ""; at = parents[at] {
		own = append(own, at)
	}
	var others []tokenRow
	for _, one := range rows {
		if one.Description == sessionName && one.State == "valid" && !slices.Contains(own, one.Accessor) {
			others = append(others, one)
		}
	}
	f := p.form(url.Values{})
	if p.posted() {
		for _, one := range others {
			if _, err := p.Client.DeleteToken(p.ctx, one.Accessor); err != nil && client.Code(err) != "not_found" && !f.refused(err) {
				return err
			}
		}
		if f.Problem == nil {
			return p.done(count(len(others), "session is", "sessions are")+" ended.", "/ui/account")
		}
	}
	v := plainForm{
		Form: f, Back: "/ui/account", Button: "End " + count(len(others), "session", "sessions"), Danger: true,
		Text: []string{"Whoever is signed in as you in another browser is signed out. Tokens for programs stay."},
	}
	if len(others) == 0 {
		v.Text, v.Button = []string{"There is no other session."}, ""
	}
	return p.plain("End all other sessions", "accounts", v)
}
