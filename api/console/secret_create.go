package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"broker/api/types"
)

// The steps in which a secret is made.
const (
	stepConnection    = "connection"
	stepNewConnection = "new-connection" // aside, from the first
	stepDetails       = "details"
	stepReview        = "review"
)

// makingStep is what a step does.
type makingStep struct {
	before  string                    // the step that one goes back to
	shows   []string                  // its fields; one that ends in a dot or an underscore stands for all that begin so
	prepare func(*secretMaking) error // makes its inputs
	next    func(*secretMaking) error // checks what was typed and goes on; nil: a button of its own does
}

func makingSteps() map[string]makingStep {
	return map[string]makingStep{
		stepConnection:    {shows: []string{"connection", "options."}, prepare: (*secretMaking).prepareConnection, next: (*secretMaking).afterConnection},
		stepNewConnection: {before: stepConnection, shows: []string{"new_"}, prepare: (*secretMaking).prepareNewConnection},
		stepDetails: {
			before: stepConnection, shows: []string{"name", "description", "labels", "default_ttl", "max_ttl", "max_leases", "issue_rate", "outputs."},
			prepare: (*secretMaking).prepareDetails, next: (*secretMaking).afterDetails,
		},
		stepReview: {before: stepDetails, prepare: (*secretMaking).prepareReview},
	}
}

func (s makingStep) showsField(name string) bool {
	return slices.ContainsFunc(s.shows, func(one string) bool {
		return name == one || strings.HasSuffix(one, ".") && strings.HasPrefix(name, one) || strings.HasSuffix(one, "_") && strings.HasPrefix(name, one)
	})
}

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
		answered, err := m.act()
		if answered || err != nil {
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

// begin finds out what may be chosen, and what the form begins with.
func (m *secretMaking) begin() error {
	p := m.page
	if err := p.ask(question("connection:list", "connection"), question("connection:create", "connection")); err != nil {
		return err
	}
	m.mayList, m.v.MayConnect = p.May("connection:list", "connection"), p.May("connection:create", "connection")
	if err := m.findConnections(); err != nil {
		return err
	}
	if p.posted() {
		return nil
	}
	m.v.At = stepConnection
	values := url.Values{"provider": {m.v.Provider.Name}, "default_ttl": {"1h"}, "max_ttl": {"24h"}}
	if len(m.connections) == 1 {
		values.Set("connection", m.connections[0].Name)
	}
	describeValues(values, "options.", m.v.Provider.Options, nil)
	describeValues(values, "settings.", m.v.Provider.Connection, nil)
	m.v.Form.Values = values
	return nil
}

// act does what a button asks for. It reports true when it has answered.
func (m *secretMaking) act() (answered bool, err error) {
	step := makingSteps()[m.v.At]
	switch button := m.v.Form.get("go"); button {
	case "connect":
		m.v.At = stepNewConnection
		describeValues(m.v.Form.Values, "settings.", m.v.Provider.Connection, nil)
	case "make-connection":
		err = m.makeConnection()
	case "check":
		err = m.check()
	case "back", "cancel":
		m.v.At = step.before
	case "add": // an output: the row is shown anyway
	case "finish", "test":
		return m.finish(button == "test")
	default:
		if step.next != nil {
			err = step.next(m)
		}
	}
	return false, err
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

// prepare makes the inputs of the step.
func (m *secretMaking) prepare() error {
	v := &m.v
	step, there := makingSteps()[v.At]
	if !there {
		v.Form.Status, v.At = http.StatusBadRequest, stepConnection
		step = makingSteps()[v.At]
	}
	here := max(slices.Index([]string{stepConnection, stepDetails, stepReview}, v.At), 0)
	v.Steps = nil
	for i, title := range []string{v.Provider.Title, "Name, times, outputs", "Review and test"} {
		v.Steps = append(v.Steps, stepView{Number: i + 1, Title: title, Here: i == here, Done: i < here})
	}
	v.Carried = v.Form.carried(step.showsField)
	at := v.At
	if err := step.prepare(m); err != nil || v.At == at {
		return err
	}
	return m.prepare() // something was found wrong that belongs to another step
}
