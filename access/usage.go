package access

import (
	"maps"
	"strings"

	"broker/fsm"
)

// use is something that an account did somewhere.
type use struct {
	account fsm.AccountName
	place   fsm.Scope // an environment, or *
	action  Action
}

// usage is what history tells of who did what, read up to a position.
type usage struct {
	next fsm.EventPosition
	at   map[use]fsm.Instant
}

// The bounds of reading history.
const (
	eventsLookedAt = 100_000 // of the newest, when it is read for the first time
	usesKept       = 200_000 // beyond these nothing new is learnt
)

// lastUsed reads what is new in history and returns when everything was last done. The first reading looks at the
// newest events only; later ones go on from there.
func (d *Decider) lastUsed() (map[use]fsm.Instant, error) {
	d.usageMu.Lock()
	defer d.usageMu.Unlock()
	u := &d.usage
	err := d.state.View(func(v *fsm.View) error {
		if u.at == nil {
			u.at, u.next = map[use]fsm.Instant{}, v.LastEvents(eventsLookedAt, eventsLookedAt, fsm.EventFilter{}, nil)
		}
		for end := false; !end; {
			var list []fsm.Event
			list, u.next, end = v.EventsFrom(fsm.EventPage{From: u.next, Limit: 1000}, fsm.EventFilter{})
			for i := range list {
				u.learn(&list[i])
			}
		}
		return nil
	})
	return maps.Clone(u.at), err
}

func (u *usage) learn(e *fsm.Event) {
	action := actionOf(e)
	if action == "" || e.Actor.Account == "" {
		return
	}
	key := use{e.Actor.Account, placeOf(e), action}
	if _, known := u.at[key]; known || len(u.at) < usesKept {
		u.at[key] = e.At
	}
}

// placeOf is the environment that an event is about.
func placeOf(e *fsm.Event) fsm.Scope {
	noun, _, _ := strings.Cut(string(e.Type), ".")
	switch noun {
	case "environment":
		return fsm.Scope(e.Subject)
	case "secret", "lease":
		env, _ := fsm.SecretName(e.Subject).Split()
		return fsm.Scope(env)
	}
	return fsm.Everywhere
}

// eventActions says which action an event shows to have been used. Those whose names follow from the event's are not
// listed. Nobody changes it.
var eventActions = map[fsm.EventType]Action{
	fsm.EventLeaseIssued:       "lease:issue",
	fsm.EventLeaseRenewed:      "lease:renew",
	fsm.EventLeaseRetried:      "lease:retry",
	fsm.EventLeaseForgotten:    "lease:forget",
	fsm.EventConnectionPaused:  "connection:pause",
	fsm.EventConnectionResumed: "connection:pause",
	fsm.EventRotationBegun:     "connection:rotate",
	fsm.EventRoleBound:         "role:bind",
	fsm.EventRoleUnbound:       "role:unbind",
	fsm.EventJoinTokenCreated:  "cluster:admit",
	fsm.EventNodeRemoved:       "cluster:remove-member",
	fsm.EventMemberPromoted:    "cluster:promote-member",
	fsm.EventMemberDemoted:     "cluster:demote-member",
	fsm.EventLevelRaised:       "cluster:upgrade",
	fsm.EventClockRepaired:     "cluster:repair-clock",
	fsm.EventAuthorityRotated:  "cluster:rotate-authority",
	fsm.EventAuthorityRetired:  "cluster:rotate-authority",
	fsm.EventGossipKeyRotated:  "cluster:rotate-gossip-key",
	fsm.EventClusterReleased:   "snapshot:release",
}

// actionOf returns the action that an event shows to have been used; empty: none.
func actionOf(e *fsm.Event) Action {
	if e.Type == fsm.EventLeaseRevoking {
		if e.Details["cause"] == string(fsm.CauseRevoke) {
			return "lease:revoke"
		}
		return ""
	}
	if action, ok := eventActions[e.Type]; ok {
		return action
	}
	noun, what, _ := strings.Cut(string(e.Type), ".")
	verb, ok := strings.CutSuffix(what, "d") // created, updated, deleted
	if what == "cancelled" {
		verb, ok = "cancel", true
	}
	action := Action(strings.ReplaceAll(noun, "_", "-") + ":" + verb)
	if _, known := Actions[action]; !ok || !known {
		return ""
	}
	return action
}

// recorded reports whether history tells of an action.
func recorded(action Action) bool {
	if action == "lease:revoke" {
		return true
	}
	for _, one := range eventActions {
		if one == action {
			return true
		}
	}
	noun, verb, _ := strings.Cut(string(action), ":")
	switch verb {
	case "create", "update", "delete":
		return noun != "access"
	}
	return action == "operation:cancel"
}
