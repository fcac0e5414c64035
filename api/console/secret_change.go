package console

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
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
	now := describeSecret(found, provider)
	f := p.form(maps.Clone(now))
	v := secretForm{Form: f, Provider: provider, Secret: &found, Back: "/ui/environments/" + found.Environment}
	provider.Options = offeredOptions(p, provider, "connection/"+found.Connection+"@"+found.Environment)
	was := now
	switch {
	case !p.posted():
	case f.get("version") != fmt.Sprint(found.Version) && f.get("version") != "":
		// Somebody was quicker. A click at "add" loses nothing; the others are told first.
		v.Merged = f.merge(f.was(), now)
		f.changedMeanwhile(found.Version)
	default:
		was = f.was()
		if answered, err := v.change(p, f.change(provider, found)); answered || err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(was)) {
		if name != "version" {
			v.Carried = append(v.Carried, hiddenField{wasPrefix + name, was.Get(name)})
		}
	}
	v.Options, v.Outputs, v.Defaults = f.describe("options.", provider.Options), f.outputRows(), ttlPresets(0)
	return p.show(screen{
		Title: "Configure " + found.Name, Section: "secrets", Crumbs: p.crumbsTo(found.Name), Template: "secret-configure", Data: v, Status: f.Status,
	})
}

// was is what the form was shown with.
func (f *form) was() url.Values {
	out := url.Values{}
	for name := range f.Values {
		if short, ok := strings.CutPrefix(name, wasPrefix); ok {
			out.Set(short, f.get(name))
		}
	}
	return out
}

// changedMeanwhile tells that somebody else changed what the form is about, which has this version now.
func (f *form) changedMeanwhile(version uint64) {
	f.Problem = &problemView{Title: "It was changed meanwhile", Detail: "Nothing is saved yet. What you typed is still here; what you did not touch is as it is now.", Changed: new(changed)}
	*f.Problem.Changed = f.page.whoChanged(version)
	f.Status = http.StatusPreconditionFailed
	f.Values.Set("version", fmt.Sprint(version))
}

// change saves a change, or shows what it would do. It reports true when it has answered.
func (v *secretForm) change(p *page, change types.SecretChange) (answered bool, err error) {
	f, name := v.Form, v.Secret.FullName
	switch asked := f.get("go"); {
	case asked == "add" || !f.valid():
		return false, nil
	case asked == "preview":
		var shown types.Secret
		if shown, err = p.Client.UpdateSecret(p.ctx, name, change, f.version(), client.DryRun()); err == nil {
			v.Preview, v.Warnings = shown.Preview, shown.Warnings
		}
	default:
		if _, err = p.Client.UpdateSecret(p.ctx, name, change, f.version()); err == nil {
			return true, p.redirect(secretPath(name))
		}
	}
	if err != nil && !f.refused(err) {
		return false, err
	}
	return false, nil
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
