package console

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"broker/api/client"
	"broker/api/types"
)

func (c *Console) historyRoutes() {
	c.get("/ui/history", c.showHistory)
	c.get("/ui/history/export", c.exportHistory)
}

// happened is an event as lists show it.
type happened struct {
	types.Event
	ID      string // in the page
	What    string // the type in words
	Kind    string // the colour of it
	About   string // what it is about, unless that is a lease
	Path    string // of what it is about, if it has a page
	Details []fact
}

func happenedOf(e types.Event) happened {
	noun, verb, _ := strings.Cut(e.Type, ".")
	h := happened{Event: e, ID: "event-" + strings.ReplaceAll(e.Position(), ".", "-"), What: strings.ReplaceAll(noun, "_", " ") + " " + strings.ReplaceAll(verb, "_", " "), About: e.Subject}
	switch verb {
	case "created", "issued", "renewed", "promoted", "present", "done", "resumed", "enrolled", "admitted", "bound":
		h.Kind = "good"
	case "trouble", "stuck", "failed", "missing", "forgotten", "found":
		h.Kind = "bad"
	case "paused", "cancelled", "deleted", "unbound", "removed", "stepped":
		h.Kind = "warn"
	case "prepared", "revoking", "updated", "retried":
		h.Kind = "busy"
	}
	if e.Subject != "" && e.LeaseID == "" {
		switch noun {
		case "environment":
			h.Path = "/ui/environments/" + e.Subject
		case "secret":
			h.Path = secretPath(e.Subject)
		case "connection", "account", "group", "operation":
			h.Path = "/ui/" + noun + "s/" + url.PathEscape(e.Subject)
		case "policy":
			h.Path = "/ui/policies/" + url.PathEscape(e.Subject)
		}
		if verb == "deleted" {
			h.Path = ""
		}
	}
	for name, value := range e.Details {
		h.Details = append(h.Details, fact{Name: name, Value: value})
	}
	slices.SortFunc(h.Details, func(a, b fact) int { return strings.Compare(a.Name, b.Name) })
	return h
}

// historyView is what the page of everything that happened shows.
type historyView struct {
	Filter *form
	Types  []choice
	Since  []choice
	Events []happened
	Narrow bool
	Oldest bool   // the oldest comes first
	More   string // a page that shows more of the newest
	Pages  pages
	JSON   string
	CSV    string
}

// historyPage is how many events a page shows at first.
const historyPage = 100

// eventQuery reads what events are looked for.
func (f *form) eventQuery() client.EventQuery {
	q := client.EventQuery{EventFilter: client.EventFilter{
		Lease: strings.TrimSpace(f.get("lease")), Actor: strings.TrimSpace(f.get("actor")), Secret: strings.TrimSpace(f.get("secret")),
		Connection: strings.TrimSpace(f.get("connection")), Account: strings.TrimSpace(f.get("account")),
	}}
	if one := strings.TrimSpace(f.get("type")); one != "" {
		q.Types = []string{one}
	}
	if ago := f.duration("since"); ago != nil {
		q.Since = f.page.Now().Add(-ago.Std())
	}
	return q
}

// newest is how many of the newest events a page shows, as far as it shows those.
func (f *form) newest() int {
	if n, err := strconv.Atoi(f.get("last")); err == nil {
		return min(max(n, historyPage), types.MaxPage)
	}
	return historyPage
}

// historyTypes are what the page is filtered by.
func historyTypes() []choice {
	return []choice{
		{"", "Everything"}, {"lease", "Leases"}, {"lease.issued", "Leases issued"}, {"lease.stuck", "Leases stuck"}, {"secret", "Secrets"}, {"environment", "Environments"},
		{"connection", "Connections"}, {"lock", "Locks"}, {"operation", "Operations"}, {"account", "Accounts"}, {"token", "Tokens"}, {"role", "Roles"}, {"policy", "Policies"},
		{"orphan", "Unknown logins"}, {"member", "Nodes"}, {"cluster", "Cluster"},
	}
}

// historyFile is where what the page is filtered by is to be had as a file.
func (p *page) historyFile(format string) string {
	query := p.r.URL.Query()
	query.Del("cursor")
	query.Del("last")
	query.Set("format", format)
	return "/ui/history/export?" + query.Encode()
}

func (c *Console) showHistory(p *page) error {
	f := p.form(nil)
	q := f.eventQuery()
	v := historyView{
		Filter: f, Oldest: !q.Since.IsZero() || f.get("cursor") != "", Types: historyTypes(), JSON: p.historyFile("jsonl"), CSV: p.historyFile("csv"),
		Since: []choice{{"", "The newest"}, {"15m", "Since 15 min ago"}, {"1h", "Since 1 h ago"}, {"24h", "Since 24 h ago"}, {"168h", "Since 7 days ago"}},
	}
	for _, name := range []string{"type", "actor", "lease", "secret", "connection", "account", "since"} {
		v.Narrow = v.Narrow || f.get(name) != ""
	}
	list := client.ListOptions{Limit: historyPage, Cursor: f.get("cursor")}
	if !v.Oldest {
		q.Last, list.Limit = f.newest(), types.MaxPage
	} else if list.Cursor != "" {
		q.Since = time.Time{}
	}
	var found types.Page[types.Event]
	if f.valid() {
		var err error
		if found, err = p.Client.ListEvents(p.ctx, q, list); err != nil && !f.refused(err) {
			return err
		}
	}
	for _, one := range found.Items {
		v.Events = append(v.Events, happenedOf(one))
	}
	if v.Oldest {
		v.Pages = p.pagesOf(found.NextCursor)
	} else {
		slices.Reverse(v.Events)
		if len(v.Events) >= q.Last && q.Last < types.MaxPage {
			v.More = p.with("last", strconv.Itoa(min(q.Last*3, types.MaxPage)))
		}
	}
	return p.show(screen{Title: "History", Section: "history", Template: "history", Data: v, Status: f.Status})
}

// exportHistory is history as a file, oldest first.
func (c *Console) exportHistory(p *page) error {
	f := p.form(nil)
	q := f.eventQuery()
	if !f.valid() {
		return errNoPage
	}
	return p.eventsFile("history", each(func(list client.ListOptions) (types.Page[types.Event], error) {
		if list.Cursor != "" {
			q.Since = time.Time{}
		}
		return p.Client.ListEvents(p.long(), q, list)
	}))
}
