package console

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"broker/api/client"
	"broker/api/types"
)

// The steps in which a secret is made.
const (
	stepConnection    = "connection"
	stepNewConnection = "new-connection" // aside, from the first
	stepDetails       = "details"
	stepReview        = "review"
)

// providersView is what the choice of a provider shows.
type providersView struct {
	Environment string
	Providers   []types.Provider
}

// makeSecret has a secret made in steps. What was typed goes along from step to step in the form; secret settings of a
// new connection do not: they are sealed by making it, or typed again.
func (c *Console) makeSecret(p *page) error {
	env, err := p.Client.GetEnvironment(p.ctx, p.environmentName())
	if err != nil {
		return err
	}
	providers, err := p.Client.ListProviders(p.ctx)
	if err != nil {
		return err
	}
	f := p.form(p.r.URL.Query())
	at := slices.IndexFunc(providers.Items, func(one types.Provider) bool { return one.Name == f.get("provider") })
	crumbs := p.crumbsTo("")
	if at < 0 {
		return p.show(screen{Title: "New dynamic secret", Section: "secrets", Crumbs: crumbs, Template: "secret-providers", Data: providersView{env.Name, providers.Items}})
	}
	m := &secretMaking{page: p, env: env.Name, v: secretForm{Form: f, Provider: providers.Items[at], At: f.get("at"), Back: "/ui/environments/" + env.Name}}
	if err := m.begin(); err != nil {
		return err
	}
	if p.posted() {
		done, err := m.act()
		if done || err != nil {
			return err
		}
	}
	if err := m.prepare(); err != nil {
		return err
	}
	return p.show(screen{
		Title: "New " + m.v.Provider.Title + " secret", Section: "secrets", Crumbs: append(crumbs, crumb{"New dynamic secret", p.Path()}),
		Template: "secret-new", Data: m.v, Status: f.Status,
	})
}

// secretMaking is a secret on its way to being made.
type secretMaking struct {
	page        *page
	env         string
	v           secretForm
	connections []types.Connection // of the provider, that may be used here
	mayList     bool
}

func (m *secretMaking) begin() error {
	p, f := m.page, m.v.Form
	if err := p.ask(
		client.Question{Action: "connection:list", Resource: "connection"}, client.Question{Action: "connection:create", Resource: "connection"},
	); err != nil {
		return err
	}
	m.mayList, m.v.MayConnect = p.May("connection:list", "connection"), p.May("connection:create", "connection")
	if m.mayList {
		all, _, err := every(0, func(list client.ListOptions) (types.Page[types.Connection], error) {
			return p.Client.ListConnections(p.ctx, list)
		})
		if err != nil {
			return err
		}
		for _, one := range all {
			if one.Provider == m.v.Provider.Name && slices.ContainsFunc(one.Environments, func(pattern string) bool { return patternMatches(pattern, m.env) }) {
				m.connections = append(m.connections, one)
			}
		}
	}
	if !p.posted() {
		m.v.At = stepConnection
		f.Values = url.Values{"provider": {m.v.Provider.Name}, "default_ttl": {"1h"}, "max_ttl": {"24h"}}
		if len(m.connections) == 1 {
			f.Values.Set("connection", m.connections[0].Name)
		}
		describeValues(f.Values, "options.", m.v.Provider.Options, nil)
		describeValues(f.Values, "settings.", m.v.Provider.Connection, nil)
	}
	return nil
}

// patternMatches reports whether an environment is meant by app/env, app/* or *.
func patternMatches(pattern, env string) bool {
	app, _, _ := strings.Cut(env, "/")
	return pattern == "*" || pattern == env || pattern == app+"/*"
}

// act does what a button asks for. It reports true when it has answered.
func (m *secretMaking) act() (bool, error) {
	p, f := m.page, m.v.Form
	switch f.get("go") {
	case "connect":
		m.v.At = stepNewConnection
		describeValues(f.Values, "settings.", m.v.Provider.Connection, nil)
	case "cancel":
		m.v.At = stepConnection
	case "make-connection":
		return false, m.makeConnection()
	case "check":
		return false, m.check()
	case "back":
		m.v.At = map[string]string{stepDetails: stepConnection, stepReview: stepDetails}[m.v.At]
	case "add": // an output: the row is shown anyway
	case "finish", "test":
		if !f.valid() {
			break
		}
		spec := f.spec(m.v.Provider)
		made, err := p.Client.CreateSecret(p.ctx, m.env, spec, f.once())
		if err == nil {
			if f.get("go") == "test" {
				return true, p.console.runTest(p, made)
			}
			return true, p.redirect("/ui/environments/" + m.env)
		}
		return false, m.refused(err)
	default:
		return false, m.next()
	}
	return false, nil
}

// next checks a step and goes on to the one behind it.
func (m *secretMaking) next() error {
	f := m.v.Form
	switch m.v.At {
	case stepConnection:
		f.describedValues("options.", m.v.Provider.Options, nil)
		if strings.TrimSpace(f.get("connection")) == "" {
			f.Errors["connection"] = "choose one, or make one"
		}
		if !f.valid() {
			return nil
		}
		if _, there := f.Values["outputs.0.key"]; !there {
			others, err := m.page.allSecrets(m.env)
			if err != nil && client.Code(err) != "forbidden" {
				return err
			}
			showOutputs(f.Values, firstOutputs(m.v.Provider, f.get("connection"), others))
		}
		// What can be judged of the first step is told there: a name that no secret has stands in for the one to come.
		spec := f.spec(m.v.Provider)
		delete(f.Errors, "name")
		if spec.Name == "" {
			spec.Name = "x" + strings.ToLower(rand.Text())
		}
		if _, err := m.page.Client.CreateSecret(m.page.ctx, m.env, spec, client.DryRun()); err != nil && !m.laterOnly(err) {
			return m.refused(err)
		}
		m.v.At = stepDetails
	case stepDetails:
		spec := f.spec(m.v.Provider)
		if !f.valid() {
			return nil
		}
		shown, err := m.page.Client.CreateSecret(m.page.ctx, m.env, spec, client.DryRun())
		if err != nil {
			return m.refused(err)
		}
		m.v.At, m.v.Preview, m.v.Warnings = stepReview, shown.Preview, shown.Warnings
	}
	return nil
}

// laterOnly reports whether an error is about fields of the steps to come alone.
func (m *secretMaking) laterOnly(err error) bool {
	fields := problemOf(err).Field
	return fields != "" && !strings.HasPrefix(fields, "options.") && fields != "connection"
}

// refused takes an error in and goes back to the step that it is about.
func (m *secretMaking) refused(err error) error {
	f := m.v.Form
	if !f.refused(err) {
		return err
	}
	for name := range f.Errors {
		switch {
		case strings.HasPrefix(name, "options.") || name == "connection":
			m.v.At = stepConnection
			return nil
		default:
			m.v.At = stepDetails
		}
	}
	return nil
}

// check asks the outside system of the chosen connection.
func (m *secretMaking) check() error {
	p, f := m.page, m.v.Form
	if f.get("connection") == "" {
		f.Errors["connection"] = "choose the one to check"
		f.valid()
		return nil
	}
	found, err := p.Client.CheckConnection(p.ctx, f.get("connection"))
	if err != nil {
		if !f.refused(err) {
			return err
		}
		return nil
	}
	m.v.Checked = "It answers, and its root credential is good: " + found.System
	m.v.Warnings = found.Warnings
	return nil
}

// makeConnection makes a connection for this environment, which the broker checks before it is saved.
func (m *secretMaking) makeConnection() error {
	p, f := m.page, m.v.Form
	m.v.At = stepNewConnection
	settings := f.describedValues("settings.", m.v.Provider.Connection, nil)
	name := strings.TrimSpace(f.get("new_connection"))
	if name == "" {
		f.Errors["new_connection"] = "a name such as orders-db"
	}
	if !f.valid() {
		return nil
	}
	made, err := p.Client.CreateConnection(p.ctx, types.ConnectionSpec{
		Name: name, Provider: m.v.Provider.Name, Description: f.get("new_description"), Environments: []string{m.env}, Settings: settings,
	}, f.once())
	if err != nil {
		if !f.refused(err) {
			return err
		}
		for _, one := range []string{"name", "description"} {
			if text, there := f.Errors[one]; there {
				f.Errors["new_"+one] = text
				delete(f.Errors, one)
			}
		}
		return nil
	}
	f.Key = rand.Text()
	for name := range f.Values {
		if strings.HasPrefix(name, "settings.") || strings.HasPrefix(name, "new_") {
			f.Values.Del(name)
		}
	}
	f.Values.Set("connection", made.Name)
	m.connections = append(m.connections, made)
	m.v.At, m.v.Checked, m.v.Warnings = stepConnection, "Connection "+made.Name+" is made. The system answered: "+made.System, made.Warnings
	return nil
}

// prepare makes the inputs of the step.
func (m *secretMaking) prepare() error {
	p, f, v := m.page, m.v.Form, &m.v
	order := []string{stepConnection, stepDetails, stepReview}
	here := max(slices.Index(order, v.At), 0)
	for i, title := range []string{v.Provider.Title, "Name, times, outputs", "Review and test"} {
		v.Steps = append(v.Steps, step{Number: i + 1, Title: title, Here: i == here, Done: i < here})
	}
	shown := map[string][]string{
		stepConnection: {"connection", "options."}, stepNewConnection: {"new_"}, stepReview: {},
		stepDetails: {"name", "description", "labels", "default_ttl", "max_ttl", "max_leases", "issue_rate", "outputs."},
	}[v.At]
	v.Carried = f.carried(func(name string) bool {
		return slices.ContainsFunc(shown, func(one string) bool {
			return name == one || strings.ContainsAny(one, "._") && !strings.HasSuffix(one, "ttl") && strings.HasPrefix(name, one)
		})
	})
	switch v.At {
	case stepConnection:
		v.Options = f.describe("options.", m.offered())
		v.Connection = m.connectionField()
		v.MayCheck = p.May("connection:check", "connection"+prefixed("/", f.get("connection")))
	case stepNewConnection:
		v.New = f.describe("settings.", v.Provider.Connection)
	case stepDetails:
		v.Outputs = f.outputRows()
		v.Defaults = ttlPresets(0)
	case stepReview:
		if v.Preview == nil {
			shown, err := p.Client.CreateSecret(p.ctx, m.env, f.spec(v.Provider), client.DryRun())
			if err != nil {
				return m.refused(err)
			}
			v.Preview, v.Warnings = shown.Preview, shown.Warnings
		}
		v.Outputs, v.MayTest = f.outputRows(), p.May("secret:test", "secret/"+m.env+"/"+f.get("name"))
	default:
		f.Status = http.StatusBadRequest
		v.At = stepConnection
		return m.prepare()
	}
	return nil
}

// offered are the options that may be set: some make whoever sets them root at the outside system.
func (m *secretMaking) offered() []types.Field {
	resource := "connection"
	if name := m.v.Form.get("connection"); name != "" {
		resource += "/" + name + "@" + m.env
	}
	return offeredOptions(m.page, m.v.Provider, resource)
}

func offeredOptions(p *page, provider types.Provider, connection string) []types.Field {
	if p.May("connection:statements", connection) {
		return provider.Options
	}
	return slices.DeleteFunc(slices.Clone(provider.Options), func(one types.Field) bool { return one.Statements })
}

func (m *secretMaking) connectionField() field {
	f := m.v.Form
	in := field{ID: f.inputID("connection"), Name: "connection", Label: "Connection", Type: "text", Value: f.get("connection"), Error: f.Errors["connection"], Required: true, Mono: true, Focus: true}
	if !m.mayList {
		in.Help = "Its name, from whoever runs connections: you may use them, but not see them."
		in.Placeholder = "e.g. orders-db"
		return in
	}
	in.Options = []choice{{"", "Choose one"}}
	for _, one := range m.connections {
		in.Options = append(in.Options, choice{one.Name, one.Name + prefixed(" · ", one.Description)})
	}
	in.Help = fmt.Sprintf("%s that %s may use.", plural(len(m.connections), "connection"), m.env)
	return in
}

func plural(n int, one string) string { return count(n, one, one+"s") }
