package console

import (
	"net/url"

	"broker/api/client"
	"broker/api/types"
)

// cloneView is a form that sets a secret up in another environment.
type cloneView struct {
	Secret       types.Secret
	Form         *form
	Environments []choice
}

// cloneSecret makes a secret like another one, in another environment or under another name.
func (c *Console) cloneSecret(p *page) error {
	found, err := p.Client.GetSecret(p.ctx, p.secretName())
	if err != nil {
		return err
	}
	environments, err := p.allEnvironments()
	if err != nil && client.Code(err) != "forbidden" {
		return err
	}
	var asked []client.Question
	for _, one := range environments {
		asked = append(asked, client.Question{Action: "secret:create", Resource: one.Name})
	}
	if err := p.ask(asked...); err != nil {
		return err
	}
	v := cloneView{Secret: found, Environments: []choice{{"", "Choose one"}}}
	for _, one := range environments {
		if p.May("secret:create", one.Name) && one.BeingDeletedBy == "" {
			v.Environments = append(v.Environments, choice{one.Name, one.Name})
		}
	}
	f := p.form(url.Values{"name": {found.Name}, "connection": {found.Connection}})
	v.Form = f
	if p.posted() {
		if f.get("environment") == "" {
			f.Errors["environment"] = "choose where to"
		}
		if f.valid() {
			ttl, most := found.DefaultTTL, found.MaxTTL
			made, err := p.Client.CreateSecret(p.ctx, f.get("environment"), types.SecretSpec{
				Name: f.get("name"), Description: found.Description, Connection: f.get("connection"), Options: found.Options, DefaultTTL: &ttl, MaxTTL: &most,
				Outputs: found.Outputs, Labels: found.Labels, MaxLeases: found.MaxLeases, IssueRate: found.IssueRate, Disabled: found.Disabled,
			}, f.once())
			if err == nil {
				return p.doneAt("The clone is there.", secretPath(made.FullName))
			}
			if !f.refused(err) {
				return err
			}
		}
	}
	return p.dialog(screen{Title: "Clone " + found.Name, Section: "secrets", Crumbs: p.crumbsTo(found.Name), Template: "secret-clone", Data: v, Status: f.Status})
}
