package console

import (
	"cmp"

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

// providers describes all of them, or none to who may not see that. They are read once for a page.
func (p *page) providers() ([]types.Provider, error) {
	if p.described == nil {
		found, err := p.Client.ListProviders(p.ctx)
		if err != nil && client.Code(err) != "forbidden" {
			return nil, err
		}
		p.described = append([]types.Provider{}, found.Items...)
	}
	return p.described, nil
}

// provider describes one.
func (p *page) provider(name string) (types.Provider, error) {
	all, err := p.providers()
	for _, one := range all {
		if one.Name == name {
			return one, nil
		}
	}
	return types.Provider{}, err
}

// titles are how people write the names of providers.
func (p *page) titles() (map[string]string, error) {
	all, err := p.providers()
	out := map[string]string{}
	for _, one := range all {
		out[one.Name] = one.Title
	}
	return out, err
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

// mostOutputs is how many outputs a row names.
const mostOutputs = 3

// FirstOutputs are those that the row names.
func (r secretRow) FirstOutputs() []types.Output {
	if len(r.Outputs) <= mostOutputs {
		return r.Outputs
	}
	return r.Outputs[:mostOutputs-1]
}

// OtherOutputs are the keys of those that it only counts.
func (r secretRow) OtherOutputs() []string {
	var keys []string
	for _, one := range r.Outputs[len(r.FirstOutputs()):] {
		keys = append(keys, one.Key)
	}
	return keys
}

// More reports whether there is something in the row's menu.
func (r secretRow) More() bool { return r.MayConfigure || r.MayTest || r.MayClone || r.MayDelete }

// secretQuestions ask what may be done with secrets.
func secretQuestions(secrets []types.Secret) []client.Question {
	asked := []client.Question{question("secret:create", "secret")}
	for _, one := range secrets {
		for _, action := range []string{"lease:issue", "secret:update", "secret:test", "secret:delete"} {
			asked = append(asked, question(action, "secret/"+one.FullName))
		}
	}
	return asked
}

// rows adds to secrets what may be done with them. It asks what else the page has to know in the same question.
func (p *page) rows(secrets []types.Secret, besides ...client.Question) ([]secretRow, error) {
	titles, err := p.titles()
	if err != nil {
		return nil, err
	}
	if err := p.ask(append(secretQuestions(secrets), besides...)...); err != nil {
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
	rows, err := p.rows([]types.Secret{found}, question("connection:get", "connection/"+found.Connection))
	if err != nil {
		return err
	}
	provider, err := p.provider(found.Provider)
	if err != nil {
		return err
	}
	v := secretView{Row: rows[0], Options: optionTexts(provider, found)}
	if p.wants("secret-preview") {
		if preview, err := p.Client.PreviewSecret(p.ctx, found.FullName, ""); err == nil {
			v.Preview = &preview
		} else {
			v.Unknown = problemOf(err).Detail
		}
	}
	return p.show(screen{Title: found.Name, Section: "secrets", Crumbs: p.crumbsTo(""), Template: "secret", Data: v})
}

// optionTexts are the options of a secret that are other than what they are when nobody says.
func optionTexts(provider types.Provider, secret types.Secret) []optionText {
	var list []optionText
	for _, one := range provider.Options {
		text := describedText(one, secret.Options[one.Name])
		if text == "" || text == describedText(one, one.Default) {
			continue
		}
		if one.Type == types.FieldBoolean {
			text = "yes"
		}
		list = append(list, optionText{fieldLabel(one.Name), text})
	}
	return list
}
