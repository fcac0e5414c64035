package declare

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Write returns documents of all that is there of the kinds, such that reading them gives the same again. What has its
// default is left out; secret fields are taken from variables. What is being deleted, and locks that are over, are left out,
// and of locks with one scope and one reason all but the first; a comment tells those.
func Write(s State, kinds map[string]bool) ([]byte, error) {
	p := planner{State: s, have: map[string]Object{}}
	for _, o := range s.Have {
		p.have[o.key()] = o
	}
	have := slices.Clone(s.Have)
	slices.SortStableFunc(have, func(a, b Object) int {
		return cmp.Or(cmp.Compare(rank(a.Kind), rank(b.Kind)), cmp.Compare(a.key(), b.key()))
	})
	var out bytes.Buffer
	written := map[string]bool{}
	for _, o := range have {
		if !kinds[o.Kind] || o.BeingEnded || p.over(o) {
			continue
		}
		if written[o.key()] {
			fmt.Fprintf(&out, "# another %s %s is left out: %q, until %q\n", o.Kind, o.Name, o.text("reason"), o.text("until"))
			continue
		}
		written[o.key()] = true
		if out.Len() > 0 {
			out.WriteString("---\n")
		}
		if provider := p.provider(o); provider != nil && o.Kind == Connection {
			for _, f := range provider.Connection {
				if f.Secret && !slices.Contains(o.SecretFields, f.Name) {
					fmt.Fprintf(&out, "# if it was given: settings: {%s: {from_env: %s}}\n", f.Name, Variable(o.Name, f.Name))
				}
			}
		}
		if err := p.write(&out, o); err != nil {
			return nil, fmt.Errorf("writing %s %s: %w", o.Kind, o.Name, err)
		}
	}
	return out.Bytes(), nil
}

func (p *planner) write(out *bytes.Buffer, o Object) error {
	k, _ := kindOf(o.Kind)
	provider := p.provider(o)
	bare := Object{Kind: o.Kind, Fields: map[string]any{}}
	if max, ok := o.Fields["max_ttl"]; ok {
		bare.Fields["max_ttl"] = max // the default of the other depends on it
	}
	defaults := full(bare, provider)
	node := &yaml.Node{Kind: yaml.MappingNode}
	add := func(to *yaml.Node, name string, value any) error {
		content := &yaml.Node{}
		if err := content.Encode(value); err != nil {
			return err
		}
		to.Content = append(to.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: name}, content)
		return nil
	}
	if err := add(node, "kind", o.Kind); err != nil {
		return err
	}
	for _, f := range k.Fields {
		value, there := o.Fields[f.Name]
		switch {
		case f.Type == Settings:
			settings := &yaml.Node{Kind: yaml.MappingNode}
			if err := p.writeSettings(settings, o, f, defaults[f.Name], add); err != nil {
				return err
			}
			if len(settings.Content) > 0 {
				node.Content = append(node.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: f.Name}, settings)
			}
			continue
		case !there || f.Kept && value == false:
			continue
		case f.Type == Length && f.Name != "max_ttl" && equal(value, defaults[f.Name]), f.Name == "max_ttl" && equal(value, day):
			continue
		case f.Type != Length && !f.Required && equal(value, defaults[f.Name]):
			continue
		case f.Type == Length:
			value = lengthText(value)
		}
		if err := add(node, f.Name, value); err != nil {
			return err
		}
	}
	encoder := yaml.NewEncoder(out)
	encoder.SetIndent(2)
	if err := encoder.Encode(node); err != nil {
		return err
	}
	return encoder.Close()
}

func (p *planner) writeSettings(to *yaml.Node, o Object, f Field, defaults any, add func(*yaml.Node, string, any) error) error {
	usual, _ := defaults.(map[string]any)
	derived := map[string]bool{}
	if provider := p.provider(o); provider != nil && o.Kind == Connection {
		for _, one := range provider.Connection {
			derived[one.Name] = one.Derived
		}
	}
	settings := o.group(f.Name)
	var names []string
	for name, value := range settings {
		if !equal(value, usual[name]) && !derived[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if err := add(to, name, settings[name]); err != nil {
			return err
		}
	}
	if o.Kind != Connection {
		return nil
	}
	for _, name := range o.SecretFields {
		if err := add(to, name, map[string]string{"from_env": Variable(o.Name, name)}); err != nil {
			return err
		}
	}
	return nil
}

// Variable is the name of the variable that stands for a secret field: ORDERS_DB_PASSWORD.
func Variable(connection, field string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= '0' && r <= '9', r >= 'A' && r <= 'Z':
			return r
		}
		return '_'
	}, connection+"_"+field)
}
