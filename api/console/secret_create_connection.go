package console

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	"broker/api/client"
	"broker/api/types"
)

// findConnections finds those that the secret may use, of those that one may see.
func (m *secretMaking) findConnections() error {
	if !m.mayList {
		return nil
	}
	all, _, err := every(0, func(list client.ListOptions) (types.Page[types.Connection], error) {
		return m.page.Client.ListConnections(m.page.ctx, list)
	})
	for _, one := range all {
		if one.Provider == m.v.Provider.Name && slices.ContainsFunc(one.Environments, func(pattern string) bool { return patternMatches(pattern, m.env) }) {
			m.connections = append(m.connections, one)
		}
	}
	return err
}

// patternMatches reports whether an environment is meant by app/env, app/* or *.
func patternMatches(pattern, env string) bool {
	app, _, _ := strings.Cut(env, "/")
	return pattern == "*" || pattern == env || pattern == app+"/*"
}

func (m *secretMaking) prepareConnection() error {
	m.v.Options = m.v.Form.describe("options.", m.offered())
	m.v.Connection = m.connectionField()
	m.v.MayCheck = m.page.May("connection:check", "connection"+prefixed("/", m.v.Form.get("connection")))
	return nil
}

// afterConnection goes on to what the secret is called, with outputs to begin with. What can be judged of the first step is
// told there: a name that no secret has stands in for the one to come.
func (m *secretMaking) afterConnection() error {
	p, f := m.page, m.v.Form
	f.describedValues("options.", m.v.Provider.Options, nil)
	if strings.TrimSpace(f.get("connection")) == "" {
		f.Errors["connection"] = "choose one, or make one"
	}
	if !f.valid() {
		return nil
	}
	if _, there := f.Values["outputs.0.key"]; !there {
		others, err := p.allSecrets(m.env)
		if err != nil && client.Code(err) != "forbidden" {
			return err
		}
		showOutputs(f.Values, firstOutputs(m.v.Provider, f.get("connection"), others))
	}
	spec := f.spec(m.v.Provider)
	delete(f.Errors, "name")
	if spec.Name == "" {
		spec.Name = "x" + strings.ToLower(rand.Text())
	}
	if _, err := p.Client.CreateSecret(p.ctx, m.env, spec, client.DryRun()); err != nil && !laterOnly(err) {
		return m.refused(err)
	}
	m.v.At = stepDetails
	return nil
}

// laterOnly reports whether an error is about fields of the steps to come alone.
func laterOnly(err error) bool {
	fields := problemOf(err).Field
	return fields != "" && !strings.HasPrefix(fields, "options.") && fields != "connection"
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

func (m *secretMaking) prepareNewConnection() error {
	m.v.New = m.v.Form.describe("settings.", m.v.Provider.Connection)
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
	if len(m.connections) == 0 {
		in.Help = fmt.Sprintf("There is none that %s may use: make one, or let it use one that exists.", m.env)
	}
	return in
}
