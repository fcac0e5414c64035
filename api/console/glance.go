package console

import (
	"broker/api/client"
	"broker/api/types"
)

// glance are the numbers that tell what is going on, as far as the session may know. What it may not see, or cannot be told
// now, is left out: the page is about something else.
func (p *page) glance() []number {
	var list []number
	add := func(label, path string, n int, bad bool) {
		list = append(list, number{label, path, uint64(n), bad && n > 0})
	}
	// The last one is for the button above it.
	_ = p.ask(question("connection:list", "connection"), question("lock:list", "lock"), question("environment:create", "environment"))
	if cluster, err := p.Client.GetCluster(p.ctx); err == nil {
		live := 0
		for _, n := range cluster.Leases {
			live += int(n)
		}
		add("Live leases", "/ui/leases", live, false)
		if a, err := p.Client.GetActivity(p.ctx); err == nil {
			ending := 0
			for _, minute := range a.Ahead {
				ending += int(minute.Ending)
			}
			add("End within the hour", "/ui/leases?state=active&expires=1h", ending, false)
		}
		t := cluster.Trouble
		add("Need a look", "/ui/leases?state="+worstState(t), int(t.Stuck+t.Overdue+t.Missing), true)
		silent := 0
		for _, m := range cluster.Members {
			if !m.Alive {
				silent++
			}
		}
		add("Silent nodes", "/ui/cluster", silent, true)
	}
	if p.May("connection:list", "connection") {
		away := 0
		for _, health := range p.healthOf("") {
			if state, _, _ := connectionState(types.Connection{}, health); state == "unhealthy" {
				away++
			}
		}
		add("Connections away", "/ui/connections", away, true)
	}
	const most = 100
	if p.May("lock:list", "lock") {
		if locks, err := p.Client.ListLocks(p.ctx, client.ListOptions{Limit: most}); err == nil {
			n := 0
			for _, one := range locks.Items {
				if one.InForce {
					n++
				}
			}
			add("Locks in force", "/ui/locks", n, false)
		}
	}
	if running, err := p.Client.ListOperations(p.ctx, types.OperationRunning, client.ListOptions{Limit: most}); err == nil {
		add("Operations running", "/ui/operations?state=running", len(running.Items), false)
	}
	return list
}

// worstState is the most urgent state that leases in trouble have.
func worstState(t types.Trouble) string {
	switch {
	case t.Stuck > 0 || t.Overdue+t.Missing == 0:
		return "stuck"
	case t.Overdue > 0:
		return "overdue"
	}
	return "missing"
}
