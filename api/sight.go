package api

import (
	"errors"
	"strings"

	"broker/access"
	"broker/fsm"
)

// sight is what the caller of a request sees of a reading of the state. It asks once for each of the places that
// things are in, not for each thing.
type sight struct {
	server *Server
	call   *call
	view   View
	known  map[ask]bool

	reaches map[Action]access.Reach
	err     error // of the first question that could not be answered; from then on nothing is seen
}

func (s *Server) sightOf(c *call, view View) *sight {
	return &sight{server: s, call: c, view: view, known: map[ask]bool{}, reaches: map[Action]access.Reach{}}
}

// sees reports whether the caller may do something that shows a resource.
func (g *sight) sees(action Action, on Resource) bool {
	if g.reach(action) == access.Everywhere {
		return true
	}
	key := ask{action, on}
	if seen, ok := g.known[key]; ok {
		return seen
	}
	decision, err := g.server.decide(g.call, action, on)
	if err != nil {
		g.err = errors.Join(g.err, err)
	}
	seen := err == nil && decision.Allowed
	g.known[key] = seen
	return seen
}

func (g *sight) reach(action Action) access.Reach {
	if reach, ok := g.reaches[action]; ok {
		return reach
	}
	reach, err := g.server.config.Authorizer.Reach(g.call.identity, action)
	if err != nil {
		g.err, reach = errors.Join(g.err, err), access.Somewhere
	}
	g.reaches[action] = reach
	return reach
}

// lease judges a lease by its secret and its holder, not by its id: those of one secret and account are alike.
func (g *sight) lease(action Action, l *fsm.Lease) bool {
	on := leaseResource(g.view, l)
	on.Name = ""
	return g.sees(action, on)
}

// allEvents reports whether the caller sees all of history.
func (g *sight) allEvents() bool {
	for _, action := range []Action{"event:list", "event:system", "event:access", "lease:history"} {
		if g.reach(action) != access.Everywhere {
			return false
		}
	}
	return true
}

// event judges an event by what it is about: by the history of a lease, else by the environment or secret, else as what
// is in no environment.
func (g *sight) event(e *fsm.Event) bool {
	if e.Lease != "" {
		if lease, ok := g.view.Lease(e.Lease); ok {
			return g.lease("lease:history", &lease)
		}
		return g.sees("event:system", Resource{Kind: access.KindEvent})
	}
	action, on := Action("event:list"), Resource{Kind: access.KindEvent}
	switch noun, _, _ := strings.Cut(string(e.Type), "."); noun {
	case "environment":
		on.Environment = fsm.Pattern(e.Subject)
	case "secret":
		env, secret := fsm.SecretName(e.Subject).Split()
		on.Environment, on.Secret = fsm.Pattern(env), secret
	case "account":
		action, on.Owner = "event:access", fsm.AccountName(e.Subject)
	case "token", "client_secret":
		action, on.Owner = "event:access", fsm.AccountName(e.Details["account"])
	case "group", "wrapped", "role", "policy":
		action = "event:access"
	default:
		action = "event:system"
	}
	return g.sees(action, on)
}

// gather reads one page of what is seen, and the name after which the next one begins; empty: there is none.
func gather[R any](limit int, after string, read func(after string, limit int) []R, name func(R) string, seen func(*R) bool) (list []R, next string) {
	for scanned := 0; scanned < maxScan; {
		rows := read(after, limit+1)
		for i := range rows {
			if !seen(&rows[i]) {
				continue
			}
			if len(list) == limit {
				return list, name(list[limit-1])
			}
			list = append(list, rows[i])
		}
		if len(rows) <= limit {
			return list, ""
		}
		after = name(rows[len(rows)-1])
		scanned += len(rows)
	}
	return list, after
}
