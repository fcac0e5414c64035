package declare

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

type wrongFunc = func(format string, arguments ...any) (any, bool)

func (r Reader) labels(file string, o *Object, f Field, n *yaml.Node, wrong wrongFunc) (any, bool) {
	if n.Kind != yaml.MappingNode {
		return wrong("must have a text for each name, on lines of their own")
	}
	if _, ok := r.members(file, n); !ok {
		return nil, false
	}
	out := map[string]any{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], target(n.Content[i+1])
		o.where[f.Name+"."+key.Value] = position(file, value)
		if f.Type == Scope && !isOneOf(key.Value, scopeFields) {
			r.add(position(file, key), "a scope has no field %q%s", key.Value, r.meant(key.Value, scopeFields))
			continue
		}
		if value.Kind != yaml.ScalarNode || value.Tag != "!!str" {
			r.add(position(file, value), "%s.%s must be a text%s", f.Name, key.Value, inQuotes(value))
			continue
		}
		out[key.Value] = value.Value
	}
	if f.Type == Scope && len(out) == 0 {
		return wrong("must name at least one of %s", strings.Join(scopeFields, ", "))
	}
	return out, true
}

func (r Reader) settings(file string, o *Object, f Field, n *yaml.Node, wrong wrongFunc) (any, bool) {
	if n.Kind != yaml.MappingNode {
		return wrong("must have a value for each name, on lines of their own")
	}
	if _, ok := r.members(file, n); !ok {
		return nil, false
	}
	out := map[string]any{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], target(n.Content[i+1])
		path := f.Name + "." + key.Value
		o.where[path] = position(file, value)
		o.where[path+"\x00name"] = position(file, key)
		if value.Kind == yaml.MappingNode {
			source, ok := r.source(file, value)
			if !ok {
				r.add(position(file, value), "%s has a value, or one of from_env and from_file", path)
				continue
			}
			out[key.Value] = source
			continue
		}
		read, err := decoded(value)
		if err != nil {
			r.add(position(file, value), "%s is no value: %s", path, strings.TrimPrefix(err.Error(), "yaml: "))
			continue
		}
		if read != nil {
			out[key.Value] = read
		}
	}
	return out, true
}

// outputFields are what an output is made of.
var outputFields = []string{"key", "source", "masked"}

func (r Reader) outputs(file string, o *Object, f Field, n *yaml.Node, wrong wrongFunc) (any, bool) {
	if n.Kind != yaml.SequenceNode {
		return wrong("must be a list whose items have key and source")
	}
	list := []any{}
	for i, item := range n.Content {
		item = target(item)
		members, ok := r.members(file, item)
		if !ok {
			continue
		}
		path := fmt.Sprintf("%s[%d]", f.Name, i)
		o.where[path] = position(file, item)
		out := map[string]any{}
		for j := 0; j+1 < len(item.Content); j += 2 {
			key, value := item.Content[j], target(item.Content[j+1])
			o.where[path+"."+key.Value] = position(file, value)
			switch {
			case !isOneOf(key.Value, outputFields):
				r.add(position(file, key), "an output has no field %q%s", key.Value, r.meant(key.Value, outputFields))
			case key.Value == "masked":
				var truth bool
				if value.Tag != "!!bool" || value.Decode(&truth) != nil {
					r.add(position(file, value), "masked must be true or false")
				}
				out["masked"] = truth
			case value.Kind != yaml.ScalarNode || value.Tag != "!!str":
				r.add(position(file, value), "%s must be a text%s", key.Value, inQuotes(value))
			default:
				out[key.Value] = value.Value
			}
		}
		if members["key"] == nil || members["source"] == nil {
			r.add(position(file, item), "an output needs key and source, e.g. {key: DB_USER, source: username}")
		}
		list = append(list, out)
	}
	return list, true
}
