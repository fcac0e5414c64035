package console

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"broker/api/client"
	"broker/api/types"
)

func (c *Console) operationRoutes() {
	c.get("/ui/operations", c.listOperations)
	c.get("/ui/operations/{id}", c.showOperation)
	c.form("/ui/operations/{id}/cancel", needing("operation:cancel", "operation/{id}", c.cancelOperation))
}

// operationRow is an operation as lists show it.
type operationRow struct {
	types.Operation
	Title   string // what it does
	Chosen  string // which leases
	Percent int
	Blocked bool
}

func operationOf(o types.Operation) operationRow {
	row := operationRow{Operation: o, Chosen: selectorText(o.Selector), Blocked: o.Blocked(), Percent: 100}
	switch o.Kind {
	case types.OperationDelete:
		row.Title = "Delete"
		if o.Target != nil {
			row.Title = "Delete " + o.Target.Noun + " " + o.Target.Name
		}
	case types.OperationRetry:
		row.Title = "Retry revoking"
	case types.OperationForget:
		row.Title = "Forget leases"
	default:
		row.Title = "Revoke leases"
	}
	if o.Total > 0 {
		row.Percent = int(min(100, o.Done*100/o.Total))
	}
	if o.Running() && row.Percent == 100 && !o.AllBegun {
		row.Percent = 99
	}
	return row
}

// selectorText says which leases are chosen.
func selectorText(s types.LeaseSelector) string {
	var parts []string
	add := func(name string, values ...string) {
		values = slices.DeleteFunc(values, func(v string) bool { return v == "" })
		if len(values) > 0 {
			parts = append(parts, name+" "+strings.Join(values, ", "))
		}
	}
	if len(s.ID) > 3 {
		parts = append(parts, fmt.Sprintf("%d leases by their ids", len(s.ID)))
	} else {
		add("lease", slices.Clone(s.ID)...)
	}
	add("environment", s.Environment...)
	add("secret", s.Secret)
	add("connection", s.Connection)
	add("account", s.Account)
	add("login", s.Username)
	add("label", s.Label...)
	add("state", s.State...)
	add("token", s.Token)
	add("operation", s.Operation)
	for _, one := range []struct {
		name string
		at   time.Time
	}{{"issued after", s.IssuedAfter}, {"issued before", s.IssuedBefore}, {"ending after", s.ExpiresAfter}, {"ending before", s.ExpiresBefore}} {
		if !one.at.IsZero() {
			add(one.name, one.at.UTC().Format("2 Jan 2006 15:04:05 UTC"))
		}
	}
	return cmp.Or(strings.Join(parts, " · "), "all leases")
}

// operationsView is what the list of operations shows.
type operationsView struct {
	States []tab
	Rows   []operationRow
	Pages  pages
	All    bool
}

func (c *Console) listOperations(p *page) error {
	state := p.query("state")
	if state == "all" {
		state = ""
	}
	found, err := p.Client.ListOperations(p.ctx, state, client.ListOptions{Limit: 50, Cursor: p.query("cursor")})
	if err != nil {
		return err
	}
	v := operationsView{Pages: p.pagesOf(found.NextCursor), All: state == ""}
	v.States = p.tabs("state", []choice{{"all", "All"}, {types.OperationRunning, "Running"}, {types.OperationDone, "Done"}, {types.OperationCancelled, "Cancelled"}})
	for _, one := range found.Items {
		v.Rows = append(v.Rows, operationOf(one))
	}
	return p.show(screen{Title: "Operations", Section: "operations", Template: "operations", Data: v})
}

// operationView is what the page of an operation shows.
type operationView struct {
	operationRow
	Leases []types.Lease // that it works on now, the first of them
	More   bool
}

func (c *Console) showOperation(p *page) error {
	found, err := p.Client.GetOperation(p.ctx, p.param("id"))
	if err != nil {
		return err
	}
	if err := p.ask(question("operation:cancel", "operation/"+found.ID)); err != nil {
		return err
	}
	v := operationView{operationRow: operationOf(found)}
	if found.Running() {
		leases, err := p.Client.ListLeases(p.ctx, client.LeaseSelector{Operation: found.ID, States: []string{"revoking"}}, client.ListOptions{Limit: 20})
		if err != nil {
			return err
		}
		v.Leases, v.More = leases.Items, leases.NextCursor != ""
	}
	return p.show(screen{Title: v.Title, Section: "operations", Crumbs: []crumb{{"Operations", "/ui/operations"}}, Template: "operation", Data: v})
}

func (c *Console) cancelOperation(p *page) error {
	found, err := p.Client.GetOperation(p.ctx, p.param("id"))
	if err != nil {
		return err
	}
	f := p.form(url.Values{})
	if p.posted() {
		if _, err := p.Client.CancelOperation(p.ctx, found.ID, f.once()); err == nil {
			return p.done("The operation is cancelled; what it has begun goes on.", operationPath(found.ID))
		} else if !f.refused(err) {
			return err
		}
	}
	row := operationOf(found)
	return p.plain("Cancel operation", "operations", plainForm{
		Form: f, Back: operationPath(found.ID), Button: "Cancel operation", Danger: true,
		Text: []string{"Leases that it has begun to end go on to their end. The others stay, and so does what it was to delete."},
		Facts: []fact{
			{Name: "Operation", Value: row.Title}, {Name: "Leases", Value: row.Chosen, Mono: true},
			{Name: "Begun", Value: strconv.FormatUint(found.Begun, 10) + " of " + strconv.FormatUint(found.Total, 10)},
		},
	})
}

// operationPath is where the progress of an operation is to be seen.
func operationPath(id string) string { return "/ui/operations/" + id }
