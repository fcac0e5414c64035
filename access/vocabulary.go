package access

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/x/exp/ast"

	"broker/fsm"
)

// words looks for names in a rule that mean nothing here.
func (c *check) words(rule *ast.Policy) {
	for _, scope := range []ast.IsScopeNode{rule.Principal, rule.Action, rule.Resource} {
		switch s := scope.(type) {
		case ast.ScopeTypeEq:
			c.entity(s.Entity)
		case ast.ScopeTypeIn:
			c.entity(s.Entity)
		case ast.ScopeTypeInSet:
			for _, one := range s.Entities {
				c.entity(one)
			}
		case ast.ScopeTypeIs:
			c.kind(s.Type)
		case ast.ScopeTypeIsIn:
			c.kind(s.Type)
			c.entity(s.Entity)
		}
	}
	for _, condition := range rule.Conditions {
		ast.Inspect(ast.NewNode(condition.Body), func(n ast.IsNode) bool {
			switch n := n.(type) {
			case ast.NodeValue:
				c.value(n.Value)
			case ast.NodeTypeIs:
				c.kind(n.EntityType)
			case ast.NodeTypeIsIn:
				c.kind(n.EntityType)
			case ast.NodeTypeAccess:
				c.attribute(n.Arg, string(n.Value))
			case ast.NodeTypeHas:
				c.attribute(n.Arg, string(n.Value))
			}
			return true
		})
	}
}

// value looks into literals; those of sets and records come as one.
func (c *check) value(v cedar.Value) {
	switch v := v.(type) {
	case cedar.EntityUID:
		c.entity(v)
	case cedar.Set:
		for one := range v.All() {
			c.value(one)
		}
	case cedar.Record:
		for _, one := range v.All() {
			c.value(one)
		}
	}
}

// attribute refuses an attribute that nothing has: "has" would be false for ever without a word.
func (c *check) attribute(of ast.IsNode, name string) {
	variable, ok := of.(ast.NodeTypeVariable)
	if !ok {
		return
	}
	if variable.Name != "context" {
		c.add("%s.%s is not known: accounts, actions and resources have no attributes, they are named and are in others", variable.Name, name)
		return
	}
	if _, known := attributes()[name]; !known {
		c.add("context.%s is not known: there are %s", name, strings.Join(slices.Sorted(maps.Keys(attributes())), ", "))
	}
}

// idRules says what an entity of each type is called.
func idRules() map[cedar.EntityType]struct {
	valid func(string) bool
	rule  string
} {
	type rule = struct {
		valid func(string) bool
		rule  string
	}
	return map[cedar.EntityType]rule{
		typeAccount:     {fsm.ValidName, fsm.NameRule},
		typeGroup:       {fsm.ValidName, fsm.NameRule},
		typeConnection:  {fsm.ValidName, fsm.NameRule},
		typeApp:         {fsm.ValidName, "the part of an environment's name before the slash"},
		typeEnvironment: {fsm.ValidEnvironmentName, "app/env; all environments of an app are resource in App::\"app\", and all there is is Cluster::\"broker\""},
		typeSecret:      {func(id string) bool { return strings.Count(id, "/") == 2 && fsm.ValidScope(id) }, "app/env/name"},
		typeCluster:     {func(id string) bool { return id == clusterID }, "broker"},
		typeLease:       {func(id string) bool { return id != "" && !strings.ContainsAny(id, "/ ") }, "a lease's id"},
		typeObject:      {validObject, "KIND/NAME, e.g. account/ci, policy/short-leases or lock/ID; connections, leases, secrets and environments have types of their own"},
	}
}

func validObject(id string) bool {
	kind, name, ok := strings.Cut(id, "/")
	return ok && name != "" && kind != string(KindConnection) && kind != string(KindLease) && slices.Contains(namedKinds(), Kind(kind))
}

func (c *check) kind(kind cedar.EntityType) bool {
	known := idRules()
	if _, ok := known[kind]; ok || kind == typeAction {
		return true
	}
	names := []string{string(typeAction)}
	for one := range known {
		names = append(names, string(one))
	}
	slices.Sort(names)
	c.add("there is no type %s: there are %s%s", kind, strings.Join(names, ", "), didYouMean(string(kind), names))
	return false
}

func (c *check) entity(id cedar.EntityUID) {
	if !c.kind(id.Type) {
		return
	}
	if id.Type == typeAction {
		if _, known := Actions[Action(id.ID)]; !known {
			c.add("there is no action %q%s", string(id.ID), likelyAction(string(id.ID)))
		}
		return
	}
	if rule := idRules()[id.Type]; !rule.valid(string(id.ID)) {
		c.add("%s::%q is not possible: want %s", id.Type, string(id.ID), rule.rule)
	}
}

// otherVerbs are words that people use for the verbs of actions.
var otherVerbs = map[string]string{
	"read": "get", "view": "get", "show": "get", "see": "get", "describe": "get",
	"write": "update", "edit": "update", "change": "update", "modify": "update", "set": "update",
	"add": "create", "new": "create", "make": "create", "remove": "delete", "rm": "delete", "destroy": "delete",
	"grant": "bind", "revoke": "unbind", "extend": "renew", "generate": "issue", "create": "issue",
}

// likelyAction names the action that was most likely meant: by another word for its verb, else by its letters.
func likelyAction(word string) string {
	noun, verb, _ := strings.Cut(word, ":")
	if meant := noun + ":" + otherVerbs[strings.ToLower(verb)]; Actions[Action(meant)] != "" {
		return fmt.Sprintf("; did you mean %s?", meant)
	}
	return didYouMean(word, actionNames())
}

func actionNames() []string {
	var names []string
	for _, one := range slices.Sorted(maps.Keys(Actions)) {
		names = append(names, string(one))
	}
	return names
}

// didYouMean names the likeliest of the words that are known, if any is likely.
func didYouMean(word string, known []string) string {
	best, least := "", 1+len(word)/3
	for _, one := range known {
		if d := distance(strings.ToLower(word), strings.ToLower(one), least); d < least {
			best, least = one, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", best)
}

// distance is how many letters have to be changed, added or left out; no more than most is counted.
func distance(a, b string, most int) int {
	if len(a)-len(b) > most || len(b)-len(a) > most {
		return most
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := before
			if a[i] != b[j] {
				change++
			}
			before = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
