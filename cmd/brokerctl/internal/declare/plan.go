package declare

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"broker/api/types"
)

// Verb is what is done about an object.
type Verb string

// The verbs.
const (
	Create Verb = "create"
	Update Verb = "update"
	Keep   Verb = "keep"
	Delete Verb = "delete"
)

// Change is one field that is to have another value.
type Change struct {
	Path   string // such as description or settings.host
	From   any    // nil: nothing
	To     any    // nil: nothing, or the default
	Origin string // where the new value comes from, when that is a variable or a file: neither value is printed
}

// Action is what is done about one object.
type Action struct {
	Verb    Verb
	Want    Object   // of Delete: none
	Have    Object   // of Create: none
	Changes []Change // of Update
}

// Object is what the action is about.
func (a Action) Object() Object {
	if a.Verb == Delete {
		return a.Have
	}
	return a.Want
}

// State is what a plan begins from.
type State struct {
	Have      []Object
	Providers map[string]types.Provider
	Seen      map[string]bool   // the kinds that Have tells all of; of others references are not looked at
	Prune     map[string]string // secrets with these labels that nobody wants are deleted; nil: none
	Lenient   bool              // a secret field may be absent, of a new connection too: nothing is made of the plan
	Now       time.Time
	Nearest   func(word string, known []string) string
}

// Plan compares what is wanted with what is there: what is to be done, in the order in which it can be done.
func Plan(want []Object, s State) (actions []Action, problems []Problem) {
	p := planner{State: s, have: map[string]Object{}, want: map[string]Object{}}
	for _, o := range s.Have {
		if _, twice := p.have[o.key()]; !twice && !p.over(o) {
			p.have[o.key()] = o
		}
	}
	want = slices.Clone(want)
	slices.SortStableFunc(want, func(a, b Object) int { return cmp.Compare(rank(a.Kind), rank(b.Kind)) })
	for _, o := range want {
		if before, twice := p.want[o.key()]; twice {
			p.add(o.At, "%s %s is in %s already", o.Kind, o.Name, before.At)
			continue
		}
		p.want[o.key()] = o
	}
	for i := range want {
		want[i] = p.split(want[i])
		p.want[want[i].key()] = want[i]
	}
	for _, o := range want {
		p.refer(o)
		have, there := p.have[o.key()]
		switch {
		case p.over(o):
			actions = append(actions, Action{Verb: Keep, Want: o, Have: have})
		case !there:
			p.checkNew(o)
			actions = append(actions, Action{Verb: Create, Want: o})
		case have.BeingEnded:
			p.add(o.At, "%s %s is being deleted: wait until it is gone", o.Kind, o.Name)
		default:
			actions = append(actions, p.compare(o, have))
		}
	}
	for _, o := range s.Have {
		if p.pruned(o) {
			actions = append(actions, Action{Verb: Delete, Have: o})
		}
	}
	p.keys(want)
	return actions, p.problems
}

// over reports whether an object is a lock whose end has passed.
func (s State) over(o Object) bool {
	return o.Kind == Lock && o.text("until") != "" && !s.Now.Before(instant(o.text("until")))
}

func instant(text string) time.Time {
	at, _ := time.Parse(time.RFC3339Nano, text)
	return at
}

// pruned reports whether an object that is there is to be deleted, since it has the labels and nobody wants it.
func (p *planner) pruned(o Object) bool {
	if _, wanted := p.want[o.key()]; wanted || o.Kind != Secret || o.BeingEnded {
		return false
	}
	has := o.group("labels")
	for key, value := range p.Prune {
		if has[key] != value {
			return false
		}
	}
	return len(p.Prune) > 0
}

type planner struct {
	State
	have, want map[string]Object
	problems   []Problem
}

func (p *planner) add(at Position, format string, arguments ...any) {
	p.problems = append(p.problems, Problem{at, fmt.Sprintf(format, arguments...)})
}

// find returns an object that is wanted or there.
func (p *planner) find(kind, name string) (Object, bool) {
	key := Object{Kind: kind, Name: name}.key()
	if o, ok := p.want[key]; ok {
		return o, true
	}
	o, ok := p.have[key]
	return o, ok
}

// provider returns the provider behind a connection or a secret, nil when nobody told.
func (p *planner) provider(o Object) *types.Provider {
	name := o.text("provider")
	if o.Kind == Secret {
		name = p.have[o.key()].Provider
		if connection, ok := p.find(Connection, o.text("connection")); ok {
			name = connection.text("provider")
		}
	}
	if found, ok := p.Providers[name]; ok {
		return &found
	}
	return nil
}

// split moves secret settings away from the others, and puts values from elsewhere in their place.
func (p *planner) split(o Object) Object {
	o.Fields = maps.Clone(o.Fields)
	o.Secrets, o.Sourced = map[string]Sourced{}, map[string]Sourced{}
	for name, value := range o.Fields {
		if source, ok := value.(Sourced); ok {
			if source.absent {
				p.add(o.Where(name), "%s: there is no %s", name, source.Origin)
			}
			o.Fields[name], o.Sourced[name] = source.value, source
		}
	}
	member := map[string]string{Connection: "settings", Secret: "options"}[o.Kind]
	if member == "" {
		return o
	}
	provider := p.provider(o)
	if o.Kind == Connection && provider == nil {
		var names []string
		for name := range p.Providers {
			names = append(names, name)
		}
		slices.Sort(names)
		p.add(o.Where("provider"), "there is no provider %q%s", o.text("provider"), p.meant(o.text("provider"), names))
	}
	var fields []types.Field
	if provider != nil {
		fields = map[string][]types.Field{"settings": provider.Connection, "options": provider.Options}[member]
	}
	settings := maps.Clone(o.group(member))
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		path := member + "." + name
		source, sourced := settings[name].(Sourced)
		i := slices.IndexFunc(fields, func(f types.Field) bool { return f.Name == name })
		switch {
		case provider != nil && i < 0:
			p.add(o.Where(path+"\x00name"), "provider %s has no field %q here%s", provider.Name, name, p.meant(name, fieldNames(fields)))
		case provider != nil && fields[i].Secret && !sourced:
			p.add(o.Where(path), "%s is secret and does not belong into a file: %s: {from_env: NAME} or {from_file: PATH}", name, name)
		case provider != nil && fields[i].Secret:
			o.Secrets[name] = source
			delete(settings, name)
		case sourced && source.absent:
			p.add(o.Where(path), "%s: there is no %s", name, source.Origin)
		case sourced:
			settings[name], o.Sourced[path] = source.value, source
		}
	}
	if settings != nil {
		o.Fields[member] = settings
	}
	return o
}

func (p *planner) meant(word string, known []string) string {
	if near := p.Nearest(word, known); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	if len(known) == 0 || len(known) > 20 {
		return ""
	}
	return "; there is " + strings.Join(known, ", ")
}

func fieldNames(fields []types.Field) []string {
	var names []string
	for _, f := range fields {
		names = append(names, f.Name)
	}
	return names
}

// checkNew tells what a connection that is not there yet lacks.
func (p *planner) checkNew(o Object) {
	provider := p.provider(o)
	if provider == nil {
		return
	}
	member, fields := "settings", provider.Connection
	if o.Kind == Secret {
		member, fields = "options", provider.Options
	}
	for _, f := range fields {
		_, given := o.group(member)[f.Name]
		source, secret := o.Secrets[f.Name]
		switch {
		case !f.Required || given || f.Default != nil || secret && (p.Lenient || !source.absent):
		case secret:
			p.add(o.Where(member+"."+f.Name), "%s: there is no %s, and %s %s is new", f.Name, source.Origin, o.Kind, o.Name)
		case f.Secret:
			p.add(o.At, "%s %s is new and has no %s.%s: %s: {from_env: NAME} or {from_file: PATH}", o.Kind, o.Name, member, f.Name, f.Name)
		default:
			p.add(o.At, "%s %s is new and has no %s.%s", o.Kind, o.Name, member, f.Name)
		}
	}
}
