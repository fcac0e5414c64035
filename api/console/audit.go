package console

import (
	"net/url"
	"slices"
	"strings"

	"broker/api/client"
	"broker/api/types"
)

func (c *Console) auditRoutes() {
	c.get("/ui/audit", c.showAudit)
	c.form("/ui/audit/hash", needing("audit:hash", "audit", c.hashForAudit))
}

// auditView is what the page of audit logs shows: their records, where they are anchored, and how to look into them.
type auditView struct {
	Records  *auditRecords // nil: one may not read them
	Anchored bool          // one may see where they are anchored
	Nodes    []auditNode
}

// auditNode is a node's audit log, as the cluster remembers it.
type auditNode struct {
	Node    string
	Here    bool // it serves this page
	Chains  int  // logs that it began
	Newest  types.AuditAnchor
	Anchors []types.AuditAnchor // newest first, the first of them
}

// mostAnchors is how many anchors are looked at, anchorsShown how many of a node are shown.
const (
	mostAnchors  = 5000
	anchorsShown = 10
)

func (c *Console) showAudit(p *page) error {
	if err := p.ask(question("audit:read", "audit"), question("audit:get", "audit"), question("audit:hash", "audit")); err != nil {
		return err
	}
	var v auditView
	var err error
	if p.May("audit:read", "audit") {
		if v.Records, err = p.auditRecords(); err != nil {
			return err
		}
	}
	if v.Anchored = p.May("audit:get", "audit") || v.Records == nil; v.Anchored {
		if v.Nodes, err = p.auditNodes(); err != nil {
			return err
		}
	}
	status := 0
	if v.Records != nil {
		status = v.Records.Filter.Status
	}
	return p.show(screen{Title: "Audit", Section: "audit", Template: "audit", Data: v, Status: status})
}

// auditNodes are the audit logs that the cluster remembers: of the node that the page is about, or of all.
func (p *page) auditNodes() (nodes []auditNode, err error) {
	all, _, err := every(mostAnchors, func(list client.ListOptions) (types.Page[types.AuditAnchor], error) {
		return p.Client.ListAuditAnchors(p.ctx, strings.TrimSpace(p.query("node")), list)
	})
	if err != nil {
		return nil, err
	}
	for len(all) > 0 { // they are sorted by node
		n := slices.IndexFunc(all, func(a types.AuditAnchor) bool { return a.Node != all[0].Node })
		if n < 0 {
			n = len(all)
		}
		nodes = append(nodes, auditNodeOf(all[:n], p.Node()))
		all = all[n:]
	}
	return nodes, nil
}

func auditNodeOf(anchors []types.AuditAnchor, here string) auditNode {
	chains := map[string]bool{}
	for _, one := range anchors {
		chains[one.Chain] = true
	}
	newest := slices.Clone(anchors)
	slices.SortStableFunc(newest, func(a, b types.AuditAnchor) int { return b.At.Compare(a.At) })
	return auditNode{
		Node: newest[0].Node, Here: newest[0].Node == here, Chains: len(chains), Newest: newest[0], Anchors: newest[:min(anchorsShown, len(newest))],
	}
}

// hashForAudit tells what audit logs say instead of a value. The value is sent in a form and never shown again.
func (c *Console) hashForAudit(p *page) error {
	f := p.form(url.Values{})
	v := plainForm{
		Form: f, Back: "/ui/audit", Button: "Make the hash",
		Text: []string{"Audit logs hold no value that may be secret, but its hash by the cluster's key: the same on every node. Give a value here to look for it there. It is kept nowhere."},
	}
	if p.posted() {
		if value := f.need("value", "want the value to look for"); f.valid() {
			hash, err := p.Client.HashForAudit(p.ctx, value)
			if err == nil {
				return p.dialog(screen{Title: "Look for this", Section: "audit", Template: "audit-hash", Data: hash})
			}
			if !f.refused(err) {
				return err
			}
		}
	}
	v.Fields = []field{f.field("value", "Value", "type", "password", "autocomplete", "off", "required", true, "focus", true)}
	return p.plain("Hash of a value", "audit", v)
}
