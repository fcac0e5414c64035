package console

import (
	"fmt"
	"net/url"
	"strings"

	"broker/api/types"
)

// connectionForm is what the form of a connection shows.
type connectionForm struct {
	Form      *form
	New       bool
	Providers []types.Provider // to choose from, while none is
	Provider  types.Provider
	Described described
	Sweeps    []choice
	Systems   []choice // what another address means; none: there is no choice
	Paths     map[string]string
	Back      string
}

// makeConnection has a provider chosen, then its settings given.
func (c *Console) makeConnection(p *page) error {
	providers, err := p.Client.ListProviders(p.ctx)
	if err != nil {
		return err
	}
	v := connectionForm{New: true, Sweeps: sweepModes(), Back: "/ui/connections", Paths: map[string]string{}}
	chosen := p.query("provider")
	found := false
	for _, one := range providers.Items {
		v.Paths[one.Name] = p.with("provider", one.Name)
		if one.Name == chosen {
			v.Provider, found = one, true
		}
	}
	s := screen{Title: "New connection", Section: "connections", Crumbs: []crumb{{"Connections", "/ui/connections"}}, Template: "connection-form"}
	if !found {
		v.Providers, v.Form = providers.Items, p.form(url.Values{})
		s.Template, s.Data = "connection-providers", v
		return p.show(s)
	}
	initial := url.Values{"sweep": {"remove"}}
	describeValues(initial, "settings.", v.Provider.Connection, nil)
	f := p.form(initial)
	if p.posted() {
		spec := types.ConnectionSpec{
			Name: f.need("name", "want a name, such as orders-db"), Provider: v.Provider.Name, Description: f.get("description"), Environments: f.names("environments"),
			Settings: f.describedValues("settings.", v.Provider.Connection, nil), SkipCheck: f.on("skip_check"), Sweep: f.get("sweep"),
		}
		if f.valid() {
			made, err := p.Client.CreateConnection(p.ctx, spec, f.once())
			if err == nil {
				return p.redirect("/ui/connections/" + made.Name)
			}
			if !f.refused(err) {
				return err
			}
		}
	}
	v.Form, v.Described = f, f.describe("settings.", v.Provider.Connection)
	s.Title, s.Data, s.Status = "New "+v.Provider.Title+" connection", v, f.Status
	s.Crumbs = append(s.Crumbs, crumb{"New connection", "/ui/connections/new"})
	return p.show(s)
}

// configureConnection changes a connection. Secret fields are never shown; an empty one stays as it is.
func (c *Console) configureConnection(p *page) error {
	now, err := p.Client.GetConnection(p.ctx, p.param("name"))
	if err != nil {
		return err
	}
	provider, err := p.Client.GetProvider(p.ctx, now.Provider)
	if err != nil {
		return err
	}
	initial := url.Values{
		"description": {now.Description}, "environments": {strings.Join(now.Environments, "\n")}, "sweep": {now.Sweep}, "version": {fmt.Sprint(now.Version)},
	}
	describeValues(initial, "settings.", provider.Connection, now.Settings)
	f := p.form(initial)
	back := "/ui/connections/" + now.Name
	if p.posted() {
		text, environments := f.get("description"), f.names("environments")
		if environments == nil {
			environments = []string{}
		}
		change := types.ConnectionChange{
			Description: &text, Environments: &environments, Settings: f.describedValues("settings.", provider.Connection, now.Settings), System: f.get("system"),
			SkipCheck: f.on("skip_check"),
		}
		if sweep := f.get("sweep"); sweep != "" {
			change.Sweep = &sweep
		}
		if len(change.Settings) == 0 {
			change.Settings = nil
		}
		if f.valid() {
			_, err := p.Client.UpdateConnection(p.ctx, now.Name, change, f.version())
			if err == nil {
				return p.redirect(back)
			}
			if !f.refused(err) {
				return err
			}
		}
	}
	v := connectionForm{
		Form: f, Provider: provider, Described: f.describe("settings.", provider.Connection, secretNames(provider.Connection)...), Sweeps: sweepModes(), Back: back,
		Systems: []choice{{"", "It stays where it is"}, {"moved", "Moved: the same system elsewhere; leases follow"}, {"replaced", "Replaced: another system; old leases stay with the old one"}},
	}
	return p.show(screen{
		Title: "Configure " + now.Name, Section: "connections", Crumbs: []crumb{{"Connections", "/ui/connections"}, {now.Name, back}}, Template: "connection-form", Data: v,
		Status: f.Status,
	})
}

// secretNames are the fields that an empty input leaves as they are. Whether those that need not be given have a value,
// nobody is told.
func secretNames(fields []types.Field) []string {
	var names []string
	for _, one := range fields {
		if one.Secret {
			names = append(names, one.Name)
		}
	}
	return names
}
