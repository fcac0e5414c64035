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

// auditRecords are the newest records of a node's audit log, as the page shows them.
type auditRecords struct {
	Filter  *form
	Nodes   []choice
	Show    []choice
	Since   []choice
	Results []choice
	All     bool // reads are shown, too
	Every   int  // seconds after which to look again; zero: never
	Found   types.AuditRecords
	Rows    []auditRow
	Pages   pages

	Conditions int // fields that are set, but for the node
}

// Narrow reports whether a field is set.
func (v *auditRecords) Narrow() bool { return v.Conditions+v.Filter.Conditions("node") > 0 }

// auditRow is a record as its row shows it.
type auditRow struct {
	types.AuditRecord
	Row       string // id in the page
	What      string
	Kind      string // colour
	Ended     string
	TookText  string
	LeasePath string
	Request   string // a page with all that the node's log has of the request
}

// auditEvery is after how many seconds records are looked at again.
const auditEvery = 5

// showAll has reads be shown, too. Each look at the page is a read that is recorded: with all of them the page would grow
// by looking at itself, so it does not look again by itself then.
const showAll = "all"

func (p *page) auditRecords() (*auditRecords, error) {
	f := p.form(nil)
	v := &auditRecords{
		Filter: f, All: f.get("show") == showAll, Nodes: []choice{{"", p.Node() + ", which serves this page"}},
		Show:    []choice{{"", "Changes and refusals"}, {showAll, "Everything, reads too"}},
		Since:   []choice{{"", "The newest"}, {"15m", "Since 15 min ago"}, {"1h", "Since 1 h ago"}, {"24h", "Since 24 h ago"}, {"168h", "Since 7 days ago"}},
		Results: []choice{{"", "Any"}, {"ok", "Done"}, {"refused", "Refused"}, {"failed", "Failed"}, {"unanswered", "Without an answer"}, {"unknown", "Not known"}},
	}
	cluster, err := p.Client.GetCluster(p.ctx)
	if err != nil {
		return nil, err
	}
	v.Conditions = f.Conditions("show", "account", "action", "resource", "result", "since", "request")
	text := func(name string) string { return strings.TrimSpace(f.get(name)) }
	for _, m := range cluster.Members {
		if m.ID != p.Node() || m.ID == text("node") {
			v.Nodes = append(v.Nodes, choice{m.ID, m.ID})
		}
	}
	if node := text("node"); !slices.ContainsFunc(v.Nodes, func(one choice) bool { return one.Value == node }) {
		v.Nodes = append(v.Nodes, choice{node, node + ", which is not there"})
	}
	q := client.AuditQuery{
		Node: text("node"), Account: text("account"), Action: text("action"), Resource: text("resource"), Result: text("result"), Request: text("request"), Changes: !v.All,
	}
	if ago := f.duration("since"); ago != nil {
		q.Since = p.Now().Add(-ago.Std())
	}
	if !f.valid() {
		return v, nil
	}
	if v.Found, err = p.Client.ListAuditRecords(p.ctx, q, client.ListOptions{Cursor: f.get("cursor")}); err != nil {
		if f.refused(err) {
			return v, nil
		}
		return nil, err
	}
	if !v.All && f.get("cursor") == "" {
		v.Every = auditEvery
	}
	for _, r := range v.Found.Items {
		v.Rows = append(v.Rows, auditRowOf(r))
	}
	v.Pages = p.pagesOf(v.Found.NextCursor)
	return v, nil
}

func auditRowOf(r types.AuditRecord) auditRow {
	row := auditRow{AuditRecord: r, Row: "record-" + r.Chain + "-" + strconv.FormatUint(r.Seq, 10), What: r.Action, Ended: r.Result}
	row.Kind = map[string]string{"ok": "good", "refused": "warn", "failed": "bad", "unanswered": "busy"}[r.Result]
	switch {
	case r.Type == "call":
		row.What = "call: " + r.Call
		row.Ended = r.Outcome
	case r.Type != "request" && r.Type != "outcome":
		row.What, row.Ended = "log: "+r.Type, ""
	case row.What == "":
		row.What = r.Method
	}
	if r.Status > 0 {
		row.Ended += " " + strconv.Itoa(r.Status)
	}
	if r.TookUS != nil {
		row.TookText = (time.Duration(*r.TookUS) * time.Microsecond).Round(100 * time.Microsecond).String()
	}
	if r.Lease != "" {
		row.LeasePath = "/ui/leases/" + url.PathEscape(r.Lease)
	}
	if r.ID != "" {
		row.Request = "/ui/audit?" + url.Values{"node": {r.Node}, "show": {showAll}, "request": {r.ID}}.Encode()
	}
	return row
}
