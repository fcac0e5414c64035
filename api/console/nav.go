package console

import (
	"slices"

	"broker/api/client"
)

// place is an entry of the navigation.
type place struct {
	Section, Label, Path, Icon string
	Key                        string   // that leads there, after g
	actions                    []string // of which one is needed for it to be offered; none: everybody sees what he may there
	resource                   string   // what they are on
	Here                       bool
}

func places() []place {
	return []place{
		{Section: "secrets", Label: "Secrets", Path: "/ui/", Icon: "key", Key: "s"},
		{Section: "leases", Label: "Leases", Path: "/ui/leases", Icon: "ticket", Key: "l"},
		{Section: "connections", Label: "Connections", Path: "/ui/connections", Icon: "plug", Key: "c", actions: []string{"connection:list"}, resource: "connection"},
		{Section: "locks", Label: "Locks", Path: "/ui/locks", Icon: "lock", actions: []string{"lock:list"}, resource: "lock"},
		{Section: "operations", Label: "Operations", Path: "/ui/operations", Icon: "gear"},
		{Section: "accounts", Label: "Access", Path: "/ui/accounts", Icon: "people", Key: "a"},
		{Section: "history", Label: "History", Path: "/ui/history", Icon: "clock", Key: "h"},
		{Section: "audit", Label: "Audit", Path: "/ui/audit", Icon: "shield", actions: []string{"audit:read", "audit:get"}, resource: "audit"},
		{Section: "cluster", Label: "Cluster", Path: "/ui/cluster", Icon: "nodes", Key: "n"},
	}
}

// placeQuestions ask what of the navigation is to be offered.
func placeQuestions() []client.Question {
	var list []client.Question
	for _, one := range places() {
		for _, action := range one.actions {
			list = append(list, question(action, one.resource))
		}
	}
	return list
}

// Places are what the navigation offers the session on a screen.
func (p *page) Places(section string) []place {
	_ = p.ask() // what is not known to be allowed is not offered
	var list []place
	for _, one := range places() {
		may := func(action string) bool { return p.may[question(action, one.resource)] }
		if !p.console.has(one.Path) || len(one.actions) > 0 && !slices.ContainsFunc(one.actions, may) {
			continue
		}
		one.Here = one.Section == section
		list = append(list, one)
	}
	return list
}

// has reports whether there is a screen at the path.
func (c *Console) has(path string) bool {
	return c.screens[path] || path == "/ui/" && c.screens["/ui/{$}"]
}
