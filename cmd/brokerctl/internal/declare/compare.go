package declare

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"

	"broker/api/types"
)

// compare finds what is different.
func (p *planner) compare(want, have Object) Action {
	action := Action{Verb: Keep, Want: want, Have: have}
	if want.Kind != have.Kind {
		p.add(want.At, "account %s is a %s, and that cannot be changed", want.Name, have.Kind)
		return action
	}
	k, _ := kindOf(want.Kind)
	provider := p.provider(want)
	wanted, there := full(want, provider), full(have, provider)
	for _, f := range k.Fields {
		to, from := wanted[f.Name], there[f.Name]
		if _, given := wanted[f.Name]; !given || equal(from, to) {
			continue
		}
		switch {
		case f.Fixed:
			p.add(want.Where(f.Name), "the %s of %s %s is %v, and that cannot be changed: delete it first, or give this one another name", f.Name, want.Kind, want.Name, from)
		case f.Type == Settings:
			action.Changes = append(action.Changes, settingChanges(f.Name, from, to, want, provider)...)
		case f.Type == Length:
			action.Changes = append(action.Changes, Change{Path: f.Name, From: lengthText(from), To: lengthText(to)})
		default:
			action.Changes = append(action.Changes, Change{Path: f.Name, From: from, To: to, Origin: want.Sourced[f.Name].Origin})
		}
	}
	if len(action.Changes) > 0 {
		action.Verb = Update
	}
	return action
}

// settingChanges tells which settings differ. One that is not given goes back to its default,
// but for what the broker made or works out itself.
func settingChanges(member string, from, to any, want Object, provider *types.Provider) []Change {
	before, _ := from.(map[string]any)
	after, _ := to.(map[string]any)
	stays := map[string]bool{}
	if provider != nil && member == "settings" {
		for _, f := range provider.Connection {
			stays[f.Name] = f.Derived || f.Made || f.Secret
		}
	}
	names := maps.Clone(before)
	maps.Copy(names, after)
	var out []Change
	for _, name := range slices.Sorted(maps.Keys(names)) {
		_, told := after[name]
		if equal(before[name], after[name]) || !told && stays[name] {
			continue
		}
		path := member + "." + name
		change := Change{Path: path, From: before[name], Origin: want.Sourced[path].Origin}
		if _, ok := want.group(member)[name]; ok {
			change.To = after[name]
		}
		out = append(out, change)
	}
	return out
}

func equal(a, b any) bool {
	if reflect.DeepEqual(a, b) {
		return true
	}
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

func sortedTexts(texts []string) []any {
	slices.Sort(texts)
	out := []any{}
	for _, one := range slices.Compact(texts) {
		out = append(out, one)
	}
	return out
}
