package console

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"broker/api/client"
	"broker/api/types"
)

func (c *Console) groupRoutes() {
	c.get("/ui/groups", c.listGroups)
	c.form("/ui/groups/new", needing("group:create", "group", c.makeGroup))
	c.get("/ui/groups/{name}", c.showGroup)
	c.form("/ui/groups/{name}/change", needing("group:update", "group/{name}", c.changeGroup))
	c.form("/ui/groups/{name}/delete", needing("group:delete", "group/{name}", c.deleteGroup))
}

// groupsView is what the list of groups shows.
type groupsView struct {
	Tabs   []tab
	Groups []types.Group
	Pages  pages
}

func (c *Console) listGroups(p *page) error {
	tabs, err := p.accessTabs("/ui/groups", question("group:create", "group"))
	if err != nil {
		return err
	}
	found, err := p.Client.ListGroups(p.ctx, client.ListOptions{Limit: 100, Cursor: p.query("cursor")})
	if err != nil {
		return err
	}
	return p.show(screen{Title: "Groups", Section: "accounts", Template: "groups", Data: groupsView{tabs, found.Items, p.pagesOf(found.NextCursor)}})
}

// groupView is what the page of a group shows.
type groupView struct {
	types.Group
	Bindings []types.RoleBinding
	Roles    bool // they may be seen
}

func (c *Console) showGroup(p *page) error {
	g, err := p.Client.GetGroup(p.ctx, p.param("name"))
	if err != nil {
		return err
	}
	on := "group/" + g.Name
	if err := p.ask(question("group:update", on), question("group:delete", on), question("role:list", "role"), question("role:bind", "*"), question("role:unbind", "*")); err != nil {
		return err
	}
	v := groupView{Group: g, Roles: p.May("role:list", "role")}
	if v.Roles {
		v.Bindings, _, err = every(1000, func(list client.ListOptions) (types.Page[types.RoleBinding], error) {
			return p.Client.ListRoleBindings(p.ctx, client.BindingFilter{Group: g.Name}, list)
		})
		if err != nil {
			return err
		}
	}
	return p.show(screen{Title: g.Name, Section: "accounts", Crumbs: []crumb{{"Groups", "/ui/groups"}}, Template: "group", Data: v})
}

func (f *form) groupFields() []field {
	return []field{
		f.field("description", "Description"),
		f.field("members", "Members", "rows", 6, "mono", true, "pick", "account", "placeholder", "alice\nbob", "help", "Names of accounts, one a line."),
	}
}

func (c *Console) makeGroup(p *page) error {
	f := p.form(url.Values{})
	if p.posted() {
		spec := types.GroupSpec{Name: f.need("name", "want a name, such as on-call"), Description: f.get("description"), Members: f.names("members")}
		if f.valid() {
			made, err := p.Client.CreateGroup(p.ctx, spec, f.once())
			if err == nil {
				return p.doneAt("The group is made.", "/ui/groups/"+made.Name)
			}
			if !f.refused(err) {
				return err
			}
		}
	}
	return p.plain("New group", "accounts", plainForm{
		Form: f, Back: "/ui/groups", Button: "Make group",
		Text:   []string{"Accounts in it get the roles that it is given."},
		Fields: append([]field{f.field("name", "Name", "required", true, "focus", true, "mono", true)}, f.groupFields()...),
	})
}

func (c *Console) changeGroup(p *page) error {
	g, err := p.Client.GetGroup(p.ctx, p.param("name"))
	if err != nil {
		return err
	}
	f := p.form(url.Values{"description": {g.Description}, "members": {strings.Join(g.Members, "\n")}, "version": {fmt.Sprint(g.Version)}})
	back := "/ui/groups/" + g.Name
	if p.posted() {
		text, wanted := f.get("description"), f.names("members")
		change := types.GroupChange{Description: &text}
		for _, one := range wanted {
			if !slices.Contains(g.Members, one) {
				change.Add = append(change.Add, one)
			}
		}
		for _, one := range g.Members {
			if !slices.Contains(wanted, one) {
				change.Remove = append(change.Remove, one)
			}
		}
		if _, err := p.Client.UpdateGroup(p.ctx, g.Name, change, f.version()); err == nil {
			return p.done("The group is changed.", back)
		} else if !f.refused(err) {
			return err
		}
		for _, name := range []string{"add", "remove"} {
			if f.Errors[name] != "" {
				f.Errors["members"] = f.Errors[name]
			}
		}
	}
	return p.plain("Change "+g.Name, "accounts", plainForm{Form: f, Back: back, Button: "Save", Fields: f.groupFields()})
}

func (c *Console) deleteGroup(p *page) error {
	g, err := p.Client.GetGroup(p.ctx, p.param("name"))
	if err != nil {
		return err
	}
	f := p.form(url.Values{"version": {fmt.Sprint(g.Version)}})
	if p.posted() {
		if err := p.Client.DeleteGroup(p.ctx, g.Name, f.version()); err == nil {
			return p.doneAt("The group is deleted.", "/ui/groups")
		} else if !f.refused(err) {
			return err
		}
	}
	return p.plain("Delete "+g.Name, "accounts", plainForm{
		Form: f, Back: "/ui/groups/" + g.Name, Button: "Delete group", Danger: true,
		Text:  []string{"Its members lose the roles that it has. Their accounts stay."},
		Facts: []fact{{Name: "Members", Value: fmt.Sprint(len(g.Members))}},
	})
}
