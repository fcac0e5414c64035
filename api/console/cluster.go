package console

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"broker/api/client"
	"broker/api/types"
)

func (c *Console) clusterRoutes() {
	c.get("/ui/cluster", c.showCluster)
	c.get("/ui/cluster/snapshot", c.saveSnapshot)
	c.form("/ui/cluster/transfer", needing("cluster:transfer", "cluster", c.transferLeadership))
	c.form("/ui/cluster/upgrade", needing("cluster:upgrade", "cluster", c.finishUpgrade))
	for verb, change := range memberChanges() {
		c.form("/ui/cluster/nodes/{id}/"+verb, needing("cluster:"+verb+"-member", "cluster/{id}", func(p *page) error { return p.changeMember(change) }))
	}
}

// clusterView is what the page of the cluster shows.
type clusterView struct {
	types.Cluster
	Nodes   []memberView
	Live    uint64    // leases that have not ended
	HeardAt time.Time // when the node last heard of a leader; zero: it never has
	Level   uint64    // the highest that every node reads
	Numbers []number
	Charts  []chart
	Partly  string // what the charts do not show
}

// memberView is a node as its row shows it.
type memberView struct {
	types.Member
	Shown     string // its state in a word
	Self      bool
	Heard     time.Time // when it answered last; zero: it never has
	LagText   string
	Lead      bool // it may be made to lead
	CertSoon  bool // its certificate ends within days
	ClockText string
	ClockOff  bool
}

// number is a number that should be looked at.
type number struct {
	Label, Path string
	Count       uint64
	Bad         bool
}

// The bounds from which on the page points at something.
const (
	certificateSoon = 10 * 24 * time.Hour // they are renewed when a third of 90 days is left
	clockFar        = 500                 // milliseconds
)

func (c *Console) showCluster(p *page) error {
	cluster, err := p.Client.GetCluster(p.ctx)
	if err != nil {
		return err
	}
	questions := []client.Question{question("cluster:transfer", "cluster"), question("cluster:upgrade", "cluster"), question("snapshot:save", "cluster"), question("orphan:list", "orphan")}
	for _, m := range cluster.Members {
		for _, verb := range []string{"remove", "promote", "demote"} {
			questions = append(questions, question("cluster:"+verb+"-member", "cluster/"+m.ID))
		}
	}
	if err := p.ask(questions...); err != nil {
		return err
	}
	v := clusterView{Cluster: cluster, Level: cluster.FeatureLevel}
	if cluster.StalenessMS >= 0 {
		v.HeardAt = p.Now().Add(-time.Duration(cluster.StalenessMS) * time.Millisecond)
	}
	for i, m := range cluster.Members {
		v.Nodes = append(v.Nodes, memberViewOf(p, cluster, m))
		if i == 0 || m.FeatureLevel < v.Level {
			v.Level = m.FeatureLevel
		}
	}
	for _, n := range cluster.Leases {
		v.Live += n
	}
	t := cluster.Trouble
	v.Numbers = []number{
		{"Live leases", "/ui/leases", v.Live, false},
		{"Overdue", "/ui/leases?state=overdue", t.Overdue, t.Overdue > 0},
		{"Stuck", "/ui/leases?state=stuck", t.Stuck, t.Stuck > 0},
		{"Login missing", "/ui/leases?state=missing", t.Missing, t.Missing > 0},
	}
	if p.May("orphan:list", "orphan") {
		v.Numbers = append(v.Numbers, number{"Orphans", "/ui/orphans", t.Orphans, t.Orphans > 0})
	}
	if p.wants("charts") {
		if v.Charts, v.Partly, err = p.charts(v.Live); err != nil {
			return err
		}
	}
	return p.show(screen{Title: "Cluster", Section: "cluster", Template: "cluster", Data: v})
}

func memberViewOf(p *page, cluster types.Cluster, m types.Member) memberView {
	v := memberView{Member: m, Self: m.ID == cluster.Node, Shown: m.State}
	switch {
	case !m.Alive:
		v.Shown = "unreachable"
	case m.Leader:
		v.Shown = "leader"
	}
	if m.Lag != nil {
		v.LagText = count(*m.Lag, "entry", "entries")
	}
	v.Lead = m.Voter && m.Alive && !m.Leader
	if m.LastContactMS != nil {
		v.Heard = p.Now().Add(-time.Duration(*m.LastContactMS) * time.Millisecond)
	}
	v.CertSoon = m.CertificateEndsAt != nil && m.CertificateEndsAt.Sub(p.Now()) < certificateSoon
	if m.ClockOffsetMS != nil {
		ms := *m.ClockOffsetMS
		v.ClockText, v.ClockOff = fmt.Sprintf("%+d ms", ms), max(ms, -ms) >= clockFar
		if ms == 0 {
			v.ClockText = "0 ms"
		}
	}
	return v
}

// Raise reports whether every node reads a higher feature level than the one in force.
func (v clusterView) Raise() bool { return v.Level > v.FeatureLevel }

func (c *Console) transferLeadership(p *page) error {
	f := p.form(url.Values{"to": {p.query("to")}})
	if p.posted() {
		done, err := p.Client.TransferLeadership(p.ctx, f.get("to"), f.once())
		if err == nil {
			message := "Node " + done.To + " leads."
			if done.To == "" {
				message = "Node " + done.From + " has handed leadership over."
			}
			return p.done(message, "/ui/cluster")
		}
		if !f.refused(err) {
			return err
		}
	}
	cluster, err := p.Client.GetCluster(p.ctx)
	if err != nil {
		return err
	}
	choices := []choice{{"", "Any node that is fit"}}
	for _, m := range cluster.Members {
		if m.Voter && m.Alive && !m.Leader {
			choices = append(choices, choice{m.ID, m.ID})
		}
	}
	return p.plain("Hand leadership over", "cluster", plainForm{
		Form: f, Button: "Hand over", Back: "/ui/cluster",
		Text:   []string{"Another node leads from then on: it calls outside systems and runs the expiry clock. What is under way is finished first; clients see no error, at most a pause of some hundred milliseconds."},
		Facts:  []fact{{Name: "Leads now", Value: cluster.Leader}},
		Fields: []field{f.field("to", "Next leader", "options", choices)},
	})
}

func (c *Console) finishUpgrade(p *page) error {
	f := p.form(url.Values{})
	if p.posted() {
		done, err := p.Client.FinishUpgrade(p.ctx, f.once())
		if err == nil {
			return p.done("Feature level "+strconv.FormatUint(done.To, 10)+" is in force.", "/ui/cluster")
		}
		if !f.refused(err) {
			return err
		}
	}
	cluster, err := p.Client.GetCluster(p.ctx)
	if err != nil {
		return err
	}
	return p.plain("Finish the upgrade", "cluster", plainForm{
		Form: f, Button: "Finish the upgrade", Back: "/ui/cluster",
		Text:  []string{"The highest feature level that every node reads comes into force."},
		Warn:  "There is no way back: an older version of the program does not start with this cluster's data any more.",
		Facts: []fact{{Name: "In force", Value: "level " + strconv.FormatUint(cluster.FeatureLevel, 10)}},
	})
}

// memberChange is something that is done with a node.
type memberChange struct {
	title, button, said string
	text                []string
	warn                string
	danger              bool
	do                  func(p *page, id string, f *form) error
}

// memberChanges are what can be done with a node, by the verb of the address.
func memberChanges() map[string]memberChange {
	return map[string]memberChange{
		"promote": {
			title: "Promote node", button: "Promote", said: "%s votes.",
			text: []string{"It gets a vote: it counts for the majority that every change needs, and may lead."},
			do: func(p *page, id string, f *form) error {
				_, err := p.Client.PromoteMember(p.ctx, id, f.get("reason"), f.once())
				return err
			},
		},
		"demote": {
			title: "Demote node", button: "Demote", said: "%s votes no more.", danger: true,
			text: []string{"It loses its vote until it is promoted. It follows on and serves requests. It is refused when the nodes that still vote and answer would be no majority."},
			do: func(p *page, id string, f *form) error {
				_, err := p.Client.DemoteMember(p.ctx, id, f.get("reason"), f.once())
				return err
			},
		},
		"remove": {
			title: "Remove node", button: "Remove for ever", said: "%s is no part of the cluster any more.", danger: true,
			text: []string{"It is removed for ever: if it runs it stops, and does not start again. With an empty data directory it can join as a new node. When it leads, it hands leadership over first."},
			warn: "The cluster bears fewer failures afterwards, until another node has joined.",
			do: func(p *page, id string, f *form) error {
				return p.Client.RemoveMember(p.ctx, id, f.get("reason"), false)
			},
		},
	}
}

// changeMember shows what a change of a node means, and makes it.
func (p *page) changeMember(change memberChange) error {
	id, f := p.param("id"), p.form(url.Values{})
	if p.posted() {
		err := change.do(p, id, f)
		if err == nil {
			return p.done("Node "+fmt.Sprintf(change.said, id), "/ui/cluster")
		}
		if !f.refused(err) {
			return err
		}
	}
	cluster, err := p.Client.GetCluster(p.ctx)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(cluster.Members, func(m types.Member) bool { return m.ID == id })
	if at < 0 {
		_, err := p.Client.GetMember(p.ctx, id) // tells it as the API does
		return err
	}
	m := memberViewOf(p, cluster, cluster.Members[at])
	voters, alive := 0, 0
	for _, one := range cluster.Members {
		if one.Voter {
			voters++
			if one.Alive {
				alive++
			}
		}
	}
	facts := []fact{
		{Name: "Node", Value: id}, {Name: "State", Value: m.Shown}, {Name: "Address", Value: m.ClusterAddress, Mono: true},
		{Name: "Voting nodes", Value: fmt.Sprintf("%d, of which %d answer", voters, alive)},
	}
	if m.Trouble != "" {
		facts = append(facts, fact{Name: "Trouble", Value: "It " + m.Trouble + "."})
	}
	return p.plain(change.title+" "+id, "cluster", plainForm{
		Form: f, Text: change.text, Warn: change.warn, Facts: facts, Button: change.button, Danger: change.danger, Back: "/ui/cluster",
		Fields: []field{f.field("reason", "Reason", "help", "Kept in history.")},
	})
}
