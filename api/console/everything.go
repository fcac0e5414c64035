package console

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"broker/api/client"
	"broker/api/types"
)

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
	Glance       []number
}

func (c *Console) listEverything(p *page) error {
	f := p.form(p.r.URL.Query())
	wanted := secretFilter{text: lower(f.get("q")), provider: f.get("provider"), environment: f.get("environment")}
	v := everythingView{Filter: f, Narrow: wanted != secretFilter{}}
	if p.wants("everything", "secret-counts") {
		if err := v.read(p, wanted); err != nil {
			return err
		}
	}
	if !v.Narrow && (len(v.Groups) > 0 || p.Live) && p.wants("glance") {
		v.Glance = p.glance()
	}
	return p.show(screen{Title: "Secrets", Section: "secrets", Template: "everything", Data: v, Status: f.Status})
}

// read finds the secrets that are looked for.
func (v *everythingView) read(p *page, wanted secretFilter) error {
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
	v.Environments = []choice{{"", "All environments"}}
	for _, one := range environments {
		v.Environments = append(v.Environments, choice{one.Name, one.Name})
	}
	v.Providers = providersOf(secrets, titles)
	var shown []types.Secret
	for _, one := range secrets {
		if !wanted.fits(one, titles[one.Provider]) {
			continue
		}
		v.Total++
		v.Live += one.LiveLeases
		if len(shown) < mostShown {
			shown = append(shown, one)
		}
	}
	v.Left = v.Total - len(shown)
	return v.group(p, shown, wanted.environments(environments))
}

// secretFilter is which secrets are looked for.
type secretFilter struct{ text, provider, environment string }

func (f secretFilter) fits(one types.Secret, title string) bool {
	return (f.provider == "" || one.Provider == f.provider) && (f.environment == "" || one.Environment == f.environment) && saysSecret(one, title, f.text)
}

// environments are those that are shown though no secret of theirs may be.
func (f secretFilter) environments(all []types.Environment) []types.Environment {
	if f.text != "" || f.provider != "" {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(all), func(one types.Environment) bool { return f.environment != "" && one.Name != f.environment })
}

// providersOf are the providers that secrets have, to choose from.
func providersOf(secrets []types.Secret, titles map[string]string) []choice {
	used := map[string]bool{}
	for _, one := range secrets {
		used[one.Provider] = true
	}
	list := []choice{{"", "All systems"}}
	for _, name := range slices.Sorted(maps.Keys(used)) {
		list = append(list, choice{name, cmp.Or(titles[name], name)})
	}
	return list
}

// group puts secrets into their environments, with what may be done in each.
func (v *everythingView) group(p *page, secrets []types.Secret, environments []types.Environment) error {
	groups := map[string]*secretGroup{}
	for _, one := range environments {
		groups[one.Name] = &secretGroup{Environment: one}
	}
	for _, one := range secrets {
		if groups[one.Environment] == nil {
			groups[one.Environment] = &secretGroup{Environment: types.Environment{Name: one.Environment}}
		}
	}
	asked := []client.Question{question("environment:create", "environment")}
	for name := range groups {
		asked = append(asked, question("secret:create", name))
	}
	rows, err := p.rows(secrets, asked...)
	if err != nil {
		return err
	}
	for _, row := range rows {
		g := groups[row.Environment]
		g.Secrets = append(g.Secrets, row)
		g.Live += row.LiveLeases
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
	return nil
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
