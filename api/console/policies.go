package console

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"broker/api/client"
	"broker/api/types"
)

func (c *Console) policyRoutes() {
	c.get("/ui/policies", c.listPolicies)
	c.form("/ui/policies/new", needing("policy:create", "policy", c.makePolicy))
	c.get("/ui/policies/{name}", c.showPolicy)
	c.form("/ui/policies/{name}/change", needing("policy:update", "policy/{name}", c.changePolicy))
	c.form("/ui/policies/{name}/delete", needing("policy:delete", "policy/{name}", c.deletePolicy))
}

// policiesView is what the list of policies shows.
type policiesView struct {
	Tabs     []tab
	Policies []types.Policy
	Pages    pages
}

func (c *Console) listPolicies(p *page) error {
	tabs, err := p.accessTabs("/ui/policies", question("policy:create", "policy"))
	if err != nil {
		return err
	}
	found, err := p.Client.ListPolicies(p.ctx, client.ListOptions{Limit: 100, Cursor: p.query("cursor")})
	if err != nil {
		return err
	}
	return p.show(screen{Title: "Policies", Section: "accounts", Template: "policies", Data: policiesView{tabs, found.Items, p.pagesOf(found.NextCursor)}})
}

func (c *Console) showPolicy(p *page) error {
	found, err := p.Client.GetPolicy(p.ctx, p.param("name"))
	if err != nil {
		return err
	}
	on := "policy/" + found.Name
	if err := p.ask(question("policy:update", on), question("policy:delete", on)); err != nil {
		return err
	}
	return p.show(screen{
		Title: found.Name, Section: "accounts", Crumbs: []crumb{{"Policies", "/ui/policies"}}, Template: "policy",
		Data: policyView{found, linesOf(found.Text, nil)},
	})
}

// policyView is what the page of a policy shows.
type policyView struct {
	types.Policy
	Lines []policyLine
}

// policyLine is a line of a policy with what is wrong in it.
type policyLine struct {
	Number int
	Text   string
	Wrong  string
}

// policyForm is what the form of a policy shows.
type policyForm struct {
	Form  *form
	New   bool
	Lines []policyLine // of a text that is wrong
	Back  string
}

var policyLineRE = regexp.MustCompile(`line (\d+), column \d+: ([^;\n]*)`)

// linesOf numbers the lines of a text and puts to them what is wrong there.
func linesOf(text string, wrong map[int]string) []policyLine {
	var list []policyLine
	for i, line := range strings.Split(strings.TrimRight(strings.ReplaceAll(text, "\r\n", "\n"), "\n"), "\n") {
		list = append(list, policyLine{i + 1, line, wrong[i+1]})
	}
	return list
}

// wrongLines are the lines of a text that an error names, each with what is wrong, and the two around it.
func wrongLines(text, message string) []policyLine {
	wrong := map[int]string{}
	for _, m := range policyLineRE.FindAllStringSubmatch(message, -1) {
		n, _ := strconv.Atoi(m[1])
		wrong[n] = m[2]
	}
	var list []policyLine
	for _, one := range linesOf(text, wrong) {
		if wrong[one.Number-1] != "" || wrong[one.Number] != "" || wrong[one.Number+1] != "" {
			list = append(list, one)
		}
	}
	return list
}

func (p *page) policyForm(title string, f *form, v policyForm) error {
	v.Form, v.Lines = f, wrongLines(f.get("text"), f.Errors["text"])
	crumbs := []crumb{{"Policies", "/ui/policies"}}
	if !v.New {
		crumbs = append(crumbs, crumb{p.param("name"), v.Back})
	}
	return p.show(screen{Title: title, Section: "accounts", Crumbs: crumbs, Template: "policy-form", Data: v, Status: f.Status})
}

func (c *Console) makePolicy(p *page) error {
	f := p.form(url.Values{"text": {policyExample}})
	if p.posted() {
		spec := types.PolicySpec{Name: f.need("name", "want a name, such as short-leases"), Description: f.get("description"), Text: unix(f.get("text"))}
		if f.valid() {
			if made, err := p.Client.CreatePolicy(p.ctx, spec, f.once()); err == nil {
				return p.redirect("/ui/policies/" + made.Name)
			} else if !f.refused(err) {
				return err
			}
		}
	}
	return p.policyForm("New policy", f, policyForm{New: true, Back: "/ui/policies"})
}

func (c *Console) changePolicy(p *page) error {
	now, err := p.Client.GetPolicy(p.ctx, p.param("name"))
	if err != nil {
		return err
	}
	f := p.form(url.Values{"description": {now.Description}, "text": {now.Text}, "version": {fmt.Sprint(now.Version)}})
	back := "/ui/policies/" + now.Name
	if p.posted() {
		description, text := f.get("description"), unix(f.get("text"))
		if _, err := p.Client.UpdatePolicy(p.ctx, now.Name, types.PolicyChange{Description: &description, Text: &text}, f.version()); err == nil {
			return p.redirect(back)
		} else if !f.refused(err) {
			return err
		}
	}
	return p.policyForm("Change "+now.Name, f, policyForm{Back: back})
}

func (c *Console) deletePolicy(p *page) error {
	now, err := p.Client.GetPolicy(p.ctx, p.param("name"))
	if err != nil {
		return err
	}
	f := p.form(url.Values{"version": {fmt.Sprint(now.Version)}})
	if p.posted() {
		if err := p.Client.DeletePolicy(p.ctx, now.Name, f.version()); err == nil {
			return p.doneAt("The policy is deleted.", "/ui/policies")
		} else if !f.refused(err) {
			return err
		}
	}
	return p.plain("Delete "+now.Name, "accounts", plainForm{
		Form: f, Back: "/ui/policies/" + now.Name, Button: "Delete policy", Danger: true,
		Text: []string{"What it permits is permitted no more, and what it forbids is forbidden no more, from the next request on."},
	})
}

// unix is a text with the ends of lines that the API is used to; browsers send others.
func unix(text string) string { return strings.ReplaceAll(text, "\r\n", "\n") }

// policyExample is what a new policy begins with.
const policyExample = `// Nobody gets a lease of an environment for longer than an hour.
@id("short-in-production")
forbid (principal, action == Action::"lease:issue", resource in Environment::"app/production")
when { context has ttl && context.ttl > 3600 };
`
