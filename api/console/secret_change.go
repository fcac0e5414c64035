package console

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"broker/api/client"
	"broker/api/types"
)

// wasPrefix begins the names of hidden fields that hold what a form was shown with, so that what two people changed can be
// told apart.
const wasPrefix = "was."

// mergedField is a field that somebody else changed meanwhile.
type mergedField struct {
	Label, Mine, Now string
	Taken            bool // it was not touched here, and is what it is now
}

func (c *Console) configureSecret(p *page) error {
	found, err := p.Client.GetSecret(p.ctx, p.secretName())
	if err != nil {
		return err
	}
	provider, err := p.Client.GetProvider(p.ctx, found.Provider)
	if err != nil {
		return err
	}
	initial := describeSecret(found, provider)
	f := p.form(maps.Clone(initial))
	v := secretForm{Form: f, Provider: provider, Secret: &found, Back: "/ui/environments/" + found.Environment}
	options := provider
	options.Options = offeredOptions(p, provider, "connection/"+found.Connection+"@"+found.Environment)
	was := initial
	if p.posted() {
		was = url.Values{}
		for name := range f.Values {
			if short, ok := strings.CutPrefix(name, wasPrefix); ok {
				was.Set(short, f.get(name))
			}
		}
		if f.get("version") != fmt.Sprint(found.Version) && f.get("version") != "" {
			// Somebody was quicker. A click at "add" loses nothing; the others are told first.
			v.Merged = f.merge(was, initial)
			f.Problem = &problemView{Title: "It was changed meanwhile", Detail: "Nothing is saved yet. What you typed is still here; what you did not touch is as it is now.", Changed: new(changed)}
			*f.Problem.Changed = p.whoChanged(found.Version)
			f.Status = 412
			f.Values.Set("version", fmt.Sprint(found.Version))
			was = initial
		} else {
			change := f.change(options, found)
			switch asked := f.get("go"); {
			case asked == "add" || !f.valid():
			case asked == "preview":
				shown, err := p.Client.UpdateSecret(p.ctx, found.FullName, change, f.version(), client.DryRun())
				if err == nil {
					v.Preview, v.Warnings = shown.Preview, shown.Warnings
				} else if !f.refused(err) {
					return err
				}
			default:
				changed, err := p.Client.UpdateSecret(p.ctx, found.FullName, change, f.version())
				if err == nil {
					return p.redirect(secretPath(changed.FullName))
				}
				if !f.refused(err) {
					return err
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(was)) {
		if name != "version" {
			v.Carried = append(v.Carried, hiddenField{wasPrefix + name, was.Get(name)})
		}
	}
	v.Options, v.Outputs, v.Defaults = f.describe("options.", options.Options), f.outputRows(), ttlPresets(0)
	return p.show(screen{
		Title: "Configure " + found.Name, Section: "secrets", Crumbs: p.crumbsTo(found.Name), Template: "secret-configure", Data: v, Status: f.Status,
	})
}

// change is what differs from the secret as it is.
func (f *form) change(provider types.Provider, now types.Secret) types.SecretChange {
	var out types.SecretChange
	if text := f.get("description"); text != now.Description {
		out.Description = &text
	}
	if options := f.describedValues("options.", provider.Options, now.Options); len(options) > 0 {
		out.Options = options
	}
	if ttl := f.duration("default_ttl"); ttl != nil && *ttl != now.DefaultTTL {
		out.DefaultTTL = ttl
	}
	if ttl := f.duration("max_ttl"); ttl != nil && *ttl != now.MaxTTL {
		out.MaxTTL = ttl
	}
	if outputs := f.outputs(); !slices.EqualFunc(outputs, now.Outputs, sameOutput) {
		out.Outputs = &outputs
	}
	if labels := f.labels("labels"); !maps.Equal(labels, now.Labels) {
		out.Labels = &labels
	}
	if off := f.on("disabled"); off != now.Disabled {
		out.Disabled = &off
	}
	if n := f.number("max_leases"); n != now.MaxLeases {
		out.MaxLeases = &n
	}
	if rate := strings.TrimSpace(f.get("issue_rate")); rate != now.IssueRate {
		out.IssueRate = &rate
	}
	return out
}

func sameOutput(a, b types.Output) bool {
	masked := func(one types.Output) bool { return one.Masked == nil || *one.Masked }
	return a.Key == b.Key && a.Source == b.Source && masked(a) == masked(b)
}

// merge takes over what somebody else changed in fields that were not touched here, and tells of it and of those that both
// changed.
func (f *form) merge(was, now url.Values) []mergedField {
	names := map[string]bool{}
	for _, values := range []url.Values{was, now} {
		for name := range values {
			names[name] = true
		}
	}
	plain := func(text string) string { return strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n")) }
	var list []mergedField
	for _, name := range slices.Sorted(maps.Keys(names)) {
		before, mine, theirs := plain(was.Get(name)), plain(f.get(name)), plain(now.Get(name))
		if name == "version" || theirs == before || theirs == mine {
			continue
		}
		one := mergedField{Label: formLabel(name), Mine: mine, Now: cmp.Or(theirs, "nothing"), Taken: mine == before}
		if one.Taken {
			f.Values.Set(name, now.Get(name))
			if theirs == "" {
				f.Values.Del(name)
			}
		}
		list = append(list, one)
	}
	return list
}

// formLabel names a field of the form of secrets.
func formLabel(name string) string {
	if rest, ok := strings.CutPrefix(name, "options."); ok {
		return fieldLabel(rest)
	}
	if rest, ok := strings.CutPrefix(name, "outputs."); ok {
		n, what, _ := strings.Cut(rest, ".")
		var i int
		_, _ = fmt.Sscan(n, &i)
		return fmt.Sprintf("Output %d, %s", i+1, what)
	}
	return fieldLabel(name)
}

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
				Outputs: found.Outputs, Labels: found.Labels, MaxLeases: found.MaxLeases, IssueRate: found.IssueRate,
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

// deleteView is a form that deletes a secret.
type deleteView struct {
	Secret types.Secret
	Form   *form
	Leases []types.Lease // the first of those that live
	Others uint64        // that live besides
}

// deleteSecret deletes a secret; one with live leases only when they are to be revoked, too.
func (c *Console) deleteSecret(p *page) error {
	found, err := p.Client.GetSecret(p.ctx, p.secretName())
	if err != nil {
		return err
	}
	if found.BeingDeletedBy != "" {
		return p.doneAt("It is being deleted.", "/ui/operations/"+found.BeingDeletedBy)
	}
	v := deleteView{Secret: found}
	if found.LiveLeases > 0 {
		leases, err := p.Client.ListLeases(p.ctx, client.LeaseSelector{Secret: found.FullName, States: statesOf("live")}, client.ListOptions{Limit: 5})
		if err != nil && client.Code(err) != "forbidden" {
			return err
		}
		v.Leases = leases.Items
		if n := uint64(len(v.Leases)); found.LiveLeases > n {
			v.Others = found.LiveLeases - n
		}
	}
	v.Form = p.form(url.Values{"version": {fmt.Sprint(found.Version)}})
	if p.posted() {
		back := "/ui/environments/" + found.Environment
		if v.Form.on("all") {
			var op types.Operation
			if op, err = p.Client.DeleteSecretWithLeases(p.ctx, found.FullName, v.Form.get("reason"), v.Form.version()); err == nil {
				return p.doneAt("The leases are being revoked; then the secret is deleted.", operationPath(op))
			}
		} else if err = p.Client.DeleteSecret(p.ctx, found.FullName, v.Form.version()); err == nil {
			return p.doneAt("The secret is deleted.", back)
		}
		if !v.Form.refused(err) {
			return err
		}
	}
	return p.dialog(screen{Title: "Delete " + found.Name, Section: "secrets", Crumbs: p.crumbsTo(found.Name), Template: "secret-delete", Data: v, Status: v.Form.Status})
}

// testView is a test of a secret: before it, and what it found.
type testView struct {
	Secret types.Secret
	Form   *form
	Params described // what the provider takes besides
	Found  *types.SecretTest
	May    secretRow
}

// testSecret tries a secret out with a short lease.
func (c *Console) testSecret(p *page) error {
	found, err := p.Client.GetSecret(p.ctx, p.secretName())
	if err != nil {
		return err
	}
	if p.posted() {
		return c.runTest(p, found)
	}
	return c.showTest(p, testView{Secret: found, Form: p.form(url.Values{})})
}

func (c *Console) runTest(p *page, secret types.Secret) error {
	v := testView{Secret: secret, Form: p.form(url.Values{})}
	var spec types.SecretTestSpec
	if provider, err := p.Client.GetProvider(p.ctx, secret.Provider); err == nil {
		spec.Parameters = v.Form.describedValues("parameters.", provider.Parameters, nil)
	}
	found, err := p.Client.TestSecret(p.ctx, secret.FullName, spec)
	switch {
	case err == nil:
		v.Found = &found
	case !v.Form.refused(err):
		return err
	}
	return c.showTest(p, v)
}

func (c *Console) showTest(p *page, v testView) error {
	rows, err := p.rows([]types.Secret{v.Secret})
	if err != nil {
		return err
	}
	v.May = rows[0]
	if provider, err := p.Client.GetProvider(p.ctx, v.Secret.Provider); err == nil {
		v.Params = v.Form.describe("parameters.", provider.Parameters)
	}
	return p.show(screen{Title: "Test " + v.Secret.Name, Section: "secrets", Crumbs: p.crumbsTo(v.Secret.Name), Template: "secret-test", Data: v, Status: v.Form.Status})
}
