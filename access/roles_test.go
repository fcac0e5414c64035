package access

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// reviewed is what each role may: whoever changes a role changes this table, too, and has it reviewed.
const reviewed = `
action                    admin      operator   developer  service    auditor    viewer
access:explain            x          .          .          .          x          .
access:report             x          .          .          .          x          .
account:create            x          .          .          .          .          .
account:delete            x          .          .          .          .          .
account:get               x          .          .          .          x          .
account:list              x          .          .          .          x          .
account:password          x          .          .          .          .          .
account:update            x          .          .          .          .          .
audit:get                 x          .          .          .          x          .
audit:hash                x          .          .          .          x          .
audit:read                x          .          .          .          x          .
client-secret:create      x          .          .          .          .          .
client-secret:delete      x          .          .          .          .          .
client-secret:list        x          .          .          .          x          .
cluster:admit             x          .          .          .          .          .
cluster:demote-member     x          x          .          .          .          .
cluster:get               x          x          x          x          x          x
cluster:join-tokens       x          .          .          .          .          .
cluster:promote-member    x          x          .          .          .          .
cluster:remove-member     x          x          .          .          .          .
cluster:repair-clock      x          x          .          .          .          .
cluster:rotate-authority  x          .          .          .          .          .
cluster:rotate-gossip-key x          .          .          .          .          .
cluster:transfer          x          x          .          .          .          .
cluster:upgrade           x          x          .          .          .          .
connection:check          x          x          .          .          .          .
connection:create         x          x          .          .          .          .
connection:delete         x          x          .          .          .          .
connection:get            x          x          .          .          x          x
connection:list           x          x          .          .          x          x
connection:pause          x          x          .          .          .          .
connection:rotate         x          x          .          .          .          .
connection:statements     x          x          .          .          .          .
connection:sweep          x          x          .          .          .          .
connection:update         x          x          .          .          .          .
connection:use            x          x          x          .          .          .
environment:create        x          x          .          .          .          .
environment:delete        x          x          .          .          .          .
environment:get           x          x          x          x          x          x
environment:list          x          x          x          x          x          x
environment:update        x          x          .          .          .          .
event:access              x          .          .          .          x          .
event:list                x          x          x          .          x          x
event:system              x          x          .          .          x          x
group:create              x          .          .          .          .          .
group:delete              x          .          .          .          .          .
group:get                 x          .          .          .          x          .
group:list                x          .          .          .          x          .
group:update              x          .          .          .          .          .
lease:forget              x          x          .          .          .          .
lease:get                 x          x          x          .          x          x
lease:history             x          x          x          .          x          x
lease:issue               .          .          x          x          .          .
lease:list                x          x          x          .          x          x
lease:renew               x          .          .          .          .          .
lease:retry               x          x          .          .          .          .
lease:revoke              x          x          .          .          .          .
lock:create               x          x          .          .          .          .
lock:delete               x          x          .          .          .          .
lock:get                  x          x          x          .          x          x
lock:list                 x          x          x          .          x          x
lock:update               x          x          .          .          .          .
metrics:read              x          x          .          .          x          x
operation:cancel          x          x          .          .          .          .
operation:get             x          x          x          .          x          x
operation:list            x          x          x          .          x          x
orphan:list               x          x          .          .          x          x
policy:create             x          .          .          .          .          .
policy:delete             x          .          .          .          .          .
policy:get                x          .          .          .          x          .
policy:list               x          .          .          .          x          .
policy:update             x          .          .          .          .          .
provider:get              x          x          x          x          x          x
provider:list             x          x          x          x          x          x
role:bind                 x          .          .          .          .          .
role:get                  x          .          .          .          x          .
role:list                 x          .          .          .          x          .
role:unbind               x          .          .          .          .          .
seal:get                  x          x          .          .          x          x
seal:rotate               x          .          .          .          .          .
secret:create             x          x          x          .          .          .
secret:delete             x          x          x          .          .          .
secret:get                x          x          x          x          x          x
secret:list               x          x          x          x          x          x
secret:update             x          x          x          .          .          .
secret:test               x          x          x          .          .          .
snapshot:diff             x          .          .          .          .          .
snapshot:release          x          .          .          .          .          .
snapshot:save             x          x          .          .          .          .
token:create              x          .          .          .          .          .
token:delete              x          .          .          .          .          .
token:get                 x          .          .          .          x          .
token:list                x          .          .          .          x          .
`

func TestRolesAreTheReviewedOnes(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(reviewed), "\n")
	heads := strings.Fields(lines[0])[1:]
	var names []string
	for _, r := range Roles() {
		names = append(names, string(r.Name))
	}
	if !slices.Equal(heads, names) {
		t.Fatalf("the roles are %v, reviewed are %v", names, heads)
	}
	seen := map[Action]bool{}
	for _, line := range lines[1:] {
		cells := strings.Fields(line)
		action := Action(cells[0])
		seen[action] = true
		if _, known := Actions[action]; !known {
			t.Errorf("%s is reviewed and no action", action)
		}
		for i, r := range Roles() {
			if want := cells[i+1] == "x"; r.May(action) != want {
				t.Errorf("%s may %s: %v, reviewed is %v", r.Name, action, r.May(action), want)
			}
		}
	}
	for _, action := range slices.Sorted(maps.Keys(Actions)) {
		if !seen[action] {
			t.Errorf("%s is an action that nobody has reviewed", action)
		}
	}
	for _, r := range Roles() {
		for _, action := range r.Actions {
			if !seen[action] {
				t.Errorf("%s may %s, which is no action", r.Name, action)
			}
		}
		if r.Help == "" || !slices.IsSorted(r.Actions) || len(slices.Compact(slices.Clone(r.Actions))) != len(r.Actions) {
			t.Errorf("%s has help %q, and actions that are not sorted or twice there: %v", r.Name, r.Help, r.Actions)
		}
	}
}

// TestNoRoleHoldsBothEnds is the separation of duties: who gets credentials does not read or change what they are made
// from, and who decides about roles, connections or policies gets none.
func TestNoRoleHoldsBothEnds(t *testing.T) {
	others := []Action{
		"connection:list", "connection:get", "connection:create", "connection:update", "connection:delete", "connection:statements",
		"role:bind", "policy:create", "policy:update", "token:create", "account:create", "account:password", "group:update",
		"client-secret:create", "cluster:admit", "seal:rotate", "snapshot:release", "audit:hash",
	}
	for _, r := range Roles() {
		if !r.May("lease:issue") {
			continue
		}
		for _, other := range others {
			if r.May(other) {
				t.Errorf("%s may lease:issue and %s", r.Name, other)
			}
		}
	}
	for _, name := range []string{"admin", "operator", "viewer", "auditor"} {
		for _, r := range Roles() {
			if string(r.Name) == name && r.May("lease:issue") {
				t.Errorf("%s may issue leases", name)
			}
		}
	}
	for _, r := range Roles() {
		if r.Name == "viewer" || r.Name == "auditor" {
			for _, action := range r.Actions {
				_, verb, _ := strings.Cut(string(action), ":")
				if !slices.Contains([]string{"list", "get", "history", "read", "system", "access", "explain", "report", "hash"}, verb) {
					t.Errorf("%s may %s", r.Name, action)
				}
			}
		}
	}
}
