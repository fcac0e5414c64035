package console

import (
	"cmp"
	"fmt"
	"slices"

	"broker/api/client"
	"broker/api/types"
)

func (c *Console) connectionRoutes() {
	c.get("/ui/connections", c.listConnections)
	c.form("/ui/connections/new", needing("connection:create", "connection", c.makeConnection))
	c.get("/ui/connections/{name}", c.showConnection)
	c.form("/ui/connections/{name}/configure", needing("connection:update", "connection/{name}", c.configureConnection))
	c.form("/ui/connections/{name}/check", needing("connection:check", "connection/{name}", c.checkConnection))
	c.form("/ui/connections/{name}/pause", needing("connection:pause", "connection/{name}", c.pauseConnection))
	c.form("/ui/connections/{name}/resume", needing("connection:pause", "connection/{name}", c.resumeConnection))
	c.form("/ui/connections/{name}/rotate", needing("connection:rotate", "connection/{name}", c.rotateConnection))
	c.form("/ui/connections/{name}/rotate/cancel", needing("connection:rotate", "connection/{name}", c.cancelRotation))
	c.form("/ui/connections/{name}/delete", needing("connection:delete", "connection/{name}", c.deleteConnection))
	c.get("/ui/orphans", c.listOrphans)
	c.form("/ui/sweep", needing("connection:sweep", "connection", c.sweep))
}

// connectionRow is a connection as lists show it.
type connectionRow struct {
	types.Connection
	State   string
	Trouble string // why it does not work
	Waiting int    // logins that are to be removed
	Secrets int    // that use it, of those that one sees
}

// connectionState says how a connection is, the worst first.
func connectionState(c types.Connection, health []types.ConnectionHealth) (state, trouble string, waiting int) {
	state = "not known"
	if len(health) > 0 {
		state = "healthy"
	}
	for _, one := range health {
		waiting += one.Waiting
		if !one.Available && (one.Current || one.Waiting > 0) {
			state, trouble = "unhealthy", cmp.Or(one.Error, "it does not answer")
		}
	}
	switch {
	case c.BeingDeletedBy != "":
		state = "being deleted"
	case c.PausedUntil != nil:
		state = "paused"
	}
	return state, trouble, waiting
}

// healthOf returns how connections are by name, all when the name is empty: nothing where the leader cannot be asked,
// which alone knows.
func (p *page) healthOf(name string) map[string][]types.ConnectionHealth {
	out := map[string][]types.ConnectionHealth{}
	if p.Stale {
		return out
	}
	found, err := p.Client.ConnectionHealth(p.ctx, name)
	if err != nil {
		return out
	}
	for _, one := range found.Items {
		out[one.Connection] = append(out[one.Connection], one)
	}
	return out
}

// mostSecrets is how many secrets are looked at to tell which use a connection.
const mostSecrets = 5000

// connectionsView is what the list of connections shows.
type connectionsView struct {
	Rows   []connectionRow
	Titles map[string]string // of providers
	Pages  pages
}

func (c *Console) listConnections(p *page) error {
	found, err := p.Client.ListConnections(p.ctx, client.ListOptions{Limit: 100, Cursor: p.query("cursor")})
	if err != nil {
		return err
	}
	if err := p.ask(question("connection:create", "connection"), question("connection:sweep", "connection"), question("orphan:list", "orphan")); err != nil {
		return err
	}
	titles, err := p.titles()
	if err != nil {
		return err
	}
	secrets, err := p.secretsBy()
	if err != nil {
		return err
	}
	health := p.healthOf("")
	v := connectionsView{Titles: titles, Pages: p.pagesOf(found.NextCursor)}
	for _, one := range found.Items {
		row := connectionRow{Connection: one, Secrets: len(secrets[one.Name])}
		row.State, row.Trouble, row.Waiting = connectionState(one, health[one.Name])
		v.Rows = append(v.Rows, row)
	}
	return p.show(screen{Title: "Connections", Section: "connections", Template: "connections", Data: v})
}

// secretsBy returns the secrets that one may see by their connection.
func (p *page) secretsBy() (map[string][]types.Secret, error) {
	all, _, err := every(mostSecrets, func(list client.ListOptions) (types.Page[types.Secret], error) {
		return p.Client.ListSecrets(p.ctx, "", list)
	})
	out := map[string][]types.Secret{}
	for _, one := range all {
		out[one.Connection] = append(out[one.Connection], one)
	}
	return out, err
}

// setting is a value of a connection as its page shows it.
type setting struct{ Name, Value string }

// connectionView is what the page of a connection shows.
type connectionView struct {
	connectionRow
	Title     string // of its provider
	Rotates   bool
	Settings  []setting
	Health    []types.ConnectionHealth
	Using     []types.Secret
	Live      int
	LiveMore  bool
	Documents []types.Document
}

func (c *Console) showConnection(p *page) error {
	found, err := p.Client.GetConnection(p.ctx, p.param("name"))
	if err != nil {
		return err
	}
	on := "connection/" + found.Name
	err = p.ask(
		question("connection:update", on), question("connection:delete", on), question("connection:check", on), question("connection:pause", on),
		question("connection:rotate", on), question("connection:sweep", on), question("lock:create", "*"),
	)
	if err != nil {
		return err
	}
	provider, err := p.Client.GetProvider(p.ctx, found.Provider)
	if err != nil {
		return err
	}
	v := connectionView{connectionRow: connectionRow{Connection: found}, Title: provider.Title, Rotates: provider.Rotates, Settings: settingsOf(provider.Connection, found)}
	if p.wants("connection", "connection-head") {
		v.Health = p.healthOf(found.Name)[found.Name]
		v.State, v.Trouble, v.Waiting = connectionState(found, v.Health)
	}
	if p.wants("connection") {
		if v.Live, v.LiveMore, err = p.liveLeases(client.LeaseSelector{Connection: found.Name}); err != nil {
			return err
		}
	}
	if p.wants("connection-secrets") {
		secrets, err := p.secretsBy()
		if err != nil {
			return err
		}
		v.Using = secrets[found.Name]
	}
	if p.wants("documents") {
		if documents, err := p.Client.ListDocuments(p.ctx, found.Name); err == nil { // most publish none
			v.Documents = documents.Items
		}
	}
	return p.show(screen{Title: found.Name, Section: "connections", Crumbs: []crumb{{"Connections", "/ui/connections"}}, Template: "connection", Data: v})
}

// liveLeases counts the live leases that one sees, up to a page of them.
func (p *page) liveLeases(selector client.LeaseSelector) (n int, more bool, err error) {
	selector.States = statesOf("live")
	found, err := p.Client.ListLeases(p.ctx, selector, client.ListOptions{Limit: types.MaxPage})
	return len(found.Items), found.NextCursor != "", err
}

// settingsOf are the settings of a connection in the order of the provider's description. Secret ones are not shown.
func settingsOf(fields []types.Field, c types.Connection) []setting {
	var list []setting
	for _, one := range fields {
		text := describedText(one, c.Settings[one.Name])
		if one.Type == types.FieldBoolean && c.Settings[one.Name] != nil {
			text = map[bool]string{true: "yes", false: "no"}[c.Settings[one.Name] == true]
		}
		if one.Secret && slices.Contains(c.SecretFields, one.Name) {
			text = "set, and never shown"
		}
		if text != "" {
			list = append(list, setting{fieldLabel(one.Name), text})
		}
	}
	return list
}

// afterSweep says what happens to logins that no lease knows.
func afterSweep(mode string) string {
	switch mode {
	case "remove":
		return "removed, once two sweeps have seen them"
	case "report":
		return "reported, and left alone"
	}
	return "not looked for"
}

// sweepModes are what may happen to logins that no lease knows.
func sweepModes() []choice {
	return []choice{{"remove", "Remove them, once two sweeps have seen them"}, {"report", "Report them, and leave them alone"}, {"off", "Do not look for them"}}
}

// orphansView is what is known of logins that no lease knows.
type orphansView struct {
	Orphans []types.Orphan
	Pages   pages
}

func (c *Console) listOrphans(p *page) error {
	found, err := p.Client.ListOrphans(p.ctx, client.ListOptions{Limit: 100, Cursor: p.query("cursor")})
	if err != nil {
		return err
	}
	if err := p.ask(question("connection:sweep", "connection")); err != nil {
		return err
	}
	return p.show(screen{
		Title: "Unknown logins", Section: "connections", Crumbs: []crumb{{"Connections", "/ui/connections"}}, Template: "orphans",
		Data: orphansView{found.Items, p.pagesOf(found.NextCursor)},
	})
}

// liveText says how many live leases there are.
func liveText(n int, more bool) string {
	if more {
		return fmt.Sprintf("more than %d", n)
	}
	return fmt.Sprint(n)
}
