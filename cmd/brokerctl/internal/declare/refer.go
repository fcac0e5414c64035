package declare

import (
	"slices"
	"strings"
)

// refer tells what an object names that is neither wanted nor there.
func (p *planner) refer(o Object) {
	look := func(field, kind, name string) (Object, bool) {
		found, ok := p.find(kind, name)
		if ok || name == "" || !p.Seen[kind] {
			return found, ok
		}
		var known []string
		for _, objects := range []map[string]Object{p.want, p.have} {
			for _, one := range objects {
				if one.key() == (Object{Kind: kind, Name: one.Name}).key() {
					known = append(known, one.Name)
				}
			}
		}
		slices.Sort(known)
		noun := kind
		if kind == User {
			noun = "account"
		}
		p.add(o.Where(field), "there is no %s %q%s", noun, name, p.meant(name, slices.Compact(known)))
		return found, false
	}
	switch o.Kind {
	case Group:
		for _, name := range o.Texts("members") {
			look("members", User, name)
		}
	case RoleBinding:
		look("account", User, o.text("account"))
		look("group", Group, o.text("group"))
	case Secret:
		look("environment", Environment, o.text("environment"))
		if c, ok := look("connection", Connection, o.text("connection")); ok && !covers(c.Texts("environments"), o.text("environment")) {
			p.add(o.Where("connection"), "connection %s may not be used in %s: its environments do not say so", c.Name, o.text("environment"))
		}
	}
}

func covers(patterns []string, environment string) bool {
	app, _, _ := strings.Cut(environment, "/")
	for _, one := range patterns {
		if one == "*" || one == environment || one == app+"/*" {
			return true
		}
	}
	return false
}

// keys tells of outputs with one key in one environment: whoever leases both secrets would have one value for two.
func (p *planner) keys(want []Object) {
	taken := map[string]Object{}
	note := func(o Object, tell bool) {
		outputs, _ := full(o, p.provider(o))["outputs"].([]any)
		for _, one := range outputs {
			output, _ := one.(map[string]any)
			key, _ := output["key"].(string)
			place := o.text("environment") + "\x00" + key
			if other, ok := taken[place]; ok && other.Name != o.Name && tell {
				what := "give outputs with keys of its own"
				if p.pruned(other) {
					what += ", or delete that one first: this apply would, as the last thing it does"
				}
				p.add(o.Where("outputs"), "the key %s is %s's in this environment: %s", key, other.Name, what)
			}
			taken[place] = o
		}
	}
	for _, o := range p.have {
		if _, wanted := p.want[o.key()]; o.Kind == Secret && !wanted {
			note(o, false)
		}
	}
	for _, o := range want {
		if o.Kind == Secret {
			note(o, true)
		}
	}
}
