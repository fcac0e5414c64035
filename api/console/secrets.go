package console

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"broker/api/client"
	"broker/api/types"
)

func (c *Console) secretRoutes() {
	const inside = "/ui/environments/{app}/{env}"
	c.get("/ui/{$}", c.listEverything)
	c.form("/ui/environments/new", c.makeEnvironment)
	c.get(inside, c.showEnvironment)
	c.form(inside+"/edit", c.editEnvironment)
	c.form(inside+"/delete", c.deleteEnvironment)
	c.form(inside+"/new", c.makeSecret)
	c.get(inside+"/secrets/{name}", c.showSecret)
	c.form(inside+"/secrets/{name}/configure", c.configureSecret)
	c.form(inside+"/secrets/{name}/test", c.testSecret)
	c.form(inside+"/secrets/{name}/clone", c.cloneSecret)
	c.form(inside+"/secrets/{name}/delete", c.deleteSecret)
}

// mostShown is how many secrets a page shows; more are found by searching.
const mostShown = 300

func (p *page) allSecrets(env string) ([]types.Secret, error) {
	all, _, err := every(0, func(list client.ListOptions) (types.Page[types.Secret], error) {
		return p.Client.ListSecrets(p.ctx, env, list)
	})
	return all, err
}

func (p *page) allEnvironments() ([]types.Environment, error) {
	all, _, err := every(0, func(list client.ListOptions) (types.Page[types.Environment], error) {
		return p.Client.ListEnvironments(p.ctx, list)
	})
	return all, err
}

// titles are how people write the names of providers.
func (p *page) titles() (map[string]string, error) {
	found, err := p.Client.ListProviders(p.ctx)
	if err != nil && client.Code(err) != "forbidden" {
		return nil, err
	}
	out := map[string]string{}
	for _, one := range found.Items {
		out[one.Name] = one.Title
	}
	return out, nil
}

// place of secrets: an environment with those of its secrets that are shown.
type secretGroup struct {
	types.Environment
	App, Env string
	Secrets  []secretRow
	Live     uint64 // leases
	MayMake  bool
}

// secretRow is a secret in a list, with what may be done with it.
type secretRow struct {
	types.Secret
	System                                     string // the provider, as people write it
	MayIssue, MayConfigure, MayTest, MayDelete bool
	MayClone, MaySeeLeases                     bool
}

// More reports whether there is something in the row's menu.
func (r secretRow) More() bool { return r.MayConfigure || r.MayTest || r.MayClone || r.MayDelete }

// rows adds to secrets what may be done with them, in one question.
func (p *page) rows(secrets []types.Secret) ([]secretRow, error) {
	titles, err := p.titles()
	if err != nil {
		return nil, err
	}
	var asked []client.Question
	actions := []string{"lease:issue", "secret:update", "secret:test", "secret:delete"}
	for _, one := range secrets {
		for _, action := range actions {
			asked = append(asked, client.Question{Action: action, Resource: "secret/" + one.FullName})
		}
	}
	asked = append(asked, client.Question{Action: "secret:create", Resource: "secret"})
	if err := p.ask(asked...); err != nil {
		return nil, err
	}
	var rows []secretRow
	for _, one := range secrets {
		may := func(action string) bool { return p.May(action, "secret/"+one.FullName) }
		rows = append(rows, secretRow{
			Secret: one, System: cmp.Or(titles[one.Provider], one.Provider), MayIssue: may("lease:issue") && !one.Disabled && one.BeingDeletedBy == "",
			MayConfigure: may("secret:update"), MayTest: may("secret:test"), MayDelete: may("secret:delete"),
			MayClone: p.May("secret:create", "secret") || may("secret:update"),
		})
	}
	return rows, nil
}

// everythingView is what the page of all secrets shows.
type everythingView struct {
	Filter       *form
	Groups       []secretGroup
	Providers    []choice
	Environments []choice
	Narrow       bool
	Total, Left  int // secrets that match, and those of them that are not shown
	Live         uint64
	First        string // an environment to begin in; empty: there is none
}

func (c *Console) listEverything(p *page) error {
	f := p.form(p.r.URL.Query())
	secrets, err := p.allSecrets("")
	if err != nil {
		return err
	}
	environments, err := p.allEnvironments()
	if err != nil && client.Code(err) != "forbidden" {
		return err
	}
	titles, err := p.titles()
	if err != nil {
		return err
	}
	v := everythingView{Filter: f, Providers: []choice{{"", "All systems"}}, Environments: []choice{{"", "All environments"}}}
	q, provider, where := strings.ToLower(strings.TrimSpace(f.get("q"))), f.get("provider"), f.get("environment")
	v.Narrow = q != "" || provider != "" || where != ""
	used, groups := map[string]bool{}, map[string]*secretGroup{}
	for _, one := range environments {
		v.Environments = append(v.Environments, choice{one.Name, one.Name})
		if !v.Narrow || where == one.Name && q == "" && provider == "" {
			groups[one.Name] = &secretGroup{Environment: one}
		}
	}
	var shown []types.Secret
	for _, one := range secrets {
		used[one.Provider] = true
		if provider != "" && one.Provider != provider || where != "" && one.Environment != where || !saysSecret(one, titles[one.Provider], q) {
			continue
		}
		v.Total++
		v.Live += one.LiveLeases
		if len(shown) < mostShown {
			shown = append(shown, one)
		}
	}
	v.Left = v.Total - len(shown)
	for _, name := range slices.Sorted(maps.Keys(used)) {
		v.Providers = append(v.Providers, choice{name, cmp.Or(titles[name], name)})
	}
	rows, err := p.rows(shown)
	if err != nil {
		return err
	}
	for _, row := range rows {
		g := groups[row.Environment]
		if g == nil {
			g = &secretGroup{Environment: types.Environment{Name: row.Environment}}
			groups[row.Environment] = g
		}
		g.Secrets = append(g.Secrets, row)
		g.Live += row.LiveLeases
	}
	var asked []client.Question
	for name := range groups {
		asked = append(asked, client.Question{Action: "secret:create", Resource: name})
	}
	if err := p.ask(append(asked, client.Question{Action: "environment:create", Resource: "environment"})...); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		g := groups[name]
		g.App, g.Env, _ = strings.Cut(name, "/")
		g.MayMake = p.May("secret:create", name)
		if g.MayMake && v.First == "" {
			v.First = name
		}
		v.Groups = append(v.Groups, *g)
	}
	return p.show(screen{Title: "Secrets", Section: "secrets", Template: "everything", Data: v, Status: f.Status})
}

// saysSecret reports whether a secret has a text in what people know it by.
func saysSecret(one types.Secret, title, text string) bool {
	if text == "" {
		return true
	}
	words := []string{one.FullName, one.Description, one.Connection, one.Provider, title}
	for _, output := range one.Outputs {
		words = append(words, output.Key)
	}
	for key, value := range one.Labels {
		words = append(words, key+"="+value)
	}
	return strings.Contains(strings.ToLower(strings.Join(words, "\n")), text)
}

// secretName is the full name of the secret in the page's path.
func (p *page) secretName() string { return p.environmentName() + "/" + p.param("name") }

func (p *page) environmentName() string { return p.param("app") + "/" + p.param("env") }

// crumbsTo lead to something in an environment.
func (p *page) crumbsTo(secret string) []crumb {
	env := p.environmentName()
	out := []crumb{{"Secrets", "/ui/"}, {env, "/ui/environments/" + env}}
	if secret != "" {
		out = append(out, crumb{secret, "/ui/environments/" + env + "/secrets/" + secret})
	}
	return out
}

// secretView is what the page of one secret shows.
type secretView struct {
	Row     secretRow
	Options []optionText
	Preview *types.SecretPreview
	Unknown string // why there is no preview
}

// optionText is an option of a secret that was set.
type optionText struct{ Label, Text string }

func (c *Console) showSecret(p *page) error {
	found, err := p.Client.GetSecret(p.ctx, p.secretName())
	if err != nil {
		return err
	}
	rows, err := p.rows([]types.Secret{found})
	if err != nil {
		return err
	}
	v := secretView{Row: rows[0]}
	provider, err := p.Client.GetProvider(p.ctx, found.Provider)
	if err != nil && client.Code(err) != "forbidden" {
		return err
	}
	for _, one := range provider.Options {
		text := describedText(one, found.Options[one.Name])
		if text == "" || text == describedText(one, one.Default) {
			continue
		}
		if one.Type == types.FieldBoolean {
			text = "yes"
		}
		v.Options = append(v.Options, optionText{fieldLabel(one.Name), text})
	}
	if preview, err := p.Client.PreviewSecret(p.ctx, found.FullName, ""); err == nil {
		v.Preview = &preview
	} else {
		v.Unknown = problemOf(err).Detail
	}
	return p.show(screen{Title: found.Name, Section: "secrets", Crumbs: p.crumbsTo(""), Template: "secret", Data: v})
}
