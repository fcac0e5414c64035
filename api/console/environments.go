package console

import (
	"fmt"
	"net/url"

	"broker/api/types"
)

// environmentView is what the page of an environment shows.
type environmentView struct {
	Environment      types.Environment
	Filter           *form
	Rows             []secretRow
	Total            int // secrets, whatever the filter
	Live             uint64
	MayMake, MayEdit bool
	MayDelete        bool
}

func (c *Console) showEnvironment(p *page) error {
	env, err := p.Client.GetEnvironment(p.ctx, p.environmentName())
	if err != nil {
		return err
	}
	secrets, err := p.allSecrets(env.Name)
	if err != nil {
		return err
	}
	v := environmentView{Environment: env, Filter: p.form(p.r.URL.Query()), Total: len(secrets)}
	titles, err := p.titles()
	if err != nil {
		return err
	}
	var shown []types.Secret
	for _, one := range secrets {
		v.Live += one.LiveLeases
		if saysSecret(one, titles[one.Provider], lower(v.Filter.get("q"))) {
			shown = append(shown, one)
		}
	}
	if v.Rows, err = p.rows(shown, question("secret:create", env.Name), question("environment:update", env.Name), question("environment:delete", env.Name)); err != nil {
		return err
	}
	gone := env.BeingDeletedBy != ""
	v.MayMake, v.MayEdit, v.MayDelete = p.May("secret:create", env.Name) && !gone, p.May("environment:update", env.Name), p.May("environment:delete", env.Name) && !gone
	return p.show(screen{Title: env.Name, Section: "secrets", Crumbs: []crumb{{"Secrets", "/ui/"}}, Template: "environment", Data: v})
}

func (c *Console) makeEnvironment(p *page) error {
	f := p.form(url.Values{})
	if p.posted() {
		made, err := p.Client.CreateEnvironment(p.ctx, types.EnvironmentSpec{Name: f.get("name"), Description: f.get("description")}, f.once())
		if err == nil {
			return p.doneAt("The environment is there.", "/ui/environments/"+made.Name)
		}
		if !f.refused(err) {
			return err
		}
	}
	return p.dialog(screen{Title: "New environment", Section: "secrets", Crumbs: []crumb{{"Secrets", "/ui/"}}, Template: "environment-new", Data: f, Status: f.Status})
}

// environmentForm is a form about one environment.
type environmentForm struct {
	Environment types.Environment
	Form        *form
	Secrets     []types.Secret
	Live        uint64
	MayRevoke   bool
}

func (c *Console) editEnvironment(p *page) error {
	env, err := p.Client.GetEnvironment(p.ctx, p.environmentName())
	if err != nil {
		return err
	}
	f := p.form(url.Values{"description": {env.Description}, "version": {fmt.Sprint(env.Version)}})
	if p.posted() {
		text := f.get("description")
		_, err := p.Client.UpdateEnvironment(p.ctx, env.Name, types.EnvironmentChange{Description: &text}, f.version())
		if err == nil {
			return p.doneAt("The environment is changed.", "/ui/environments/"+env.Name)
		}
		if !f.refused(err) {
			return err
		}
	}
	return p.dialog(screen{
		Title: "Edit " + env.Name, Section: "secrets", Crumbs: p.crumbsTo(""), Template: "environment-edit",
		Data: environmentForm{Environment: env, Form: f}, Status: f.Status,
	})
}

// deleteEnvironment deletes what holds nothing at once, and otherwise with its secrets and leases, when that is asked for.
func (c *Console) deleteEnvironment(p *page) error {
	env, err := p.Client.GetEnvironment(p.ctx, p.environmentName())
	if err != nil {
		return err
	}
	v := environmentForm{Environment: env}
	if v.Secrets, err = p.allSecrets(env.Name); err != nil {
		return err
	}
	for _, one := range v.Secrets {
		v.Live += one.LiveLeases
	}
	v.Form = p.form(url.Values{"version": {fmt.Sprint(env.Version)}})
	if p.posted() {
		if !v.Form.on("all") {
			err = p.Client.DeleteEnvironment(p.ctx, env.Name, v.Form.version())
			if err == nil {
				return p.doneAt("The environment is deleted.", "/ui/")
			}
		} else {
			var op types.Operation
			op, err = p.Client.DeleteEnvironmentWithLeases(p.ctx, env.Name, v.Form.get("reason"), v.Form.version())
			if err == nil {
				return p.doneAt("The environment is being deleted.", operationPath(op.ID))
			}
		}
		if !v.Form.refused(err) {
			return err
		}
	}
	return p.dialog(screen{Title: "Delete " + env.Name, Section: "secrets", Crumbs: p.crumbsTo(""), Template: "environment-delete", Data: v, Status: v.Form.Status})
}
