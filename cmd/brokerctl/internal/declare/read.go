package declare

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Reader reads documents.
type Reader struct {
	Getenv  func(name string) (value string, ok bool)
	Open    func(file, path string) (string, error)            // reads what a file names by from_file
	Nearest func(word string, known []string) string           // which word was meant; "" when none is near
	Lenient bool                                               // a variable or file that is not there is no problem: the value is absent
	add     func(at Position, format string, arguments ...any) // a problem
}

// Read reads the documents of one file. It goes on after a problem, to tell them all.
func (r Reader) Read(file string, content []byte) (objects []Object, problems []Problem) {
	r.add = func(at Position, format string, arguments ...any) {
		problems = append(problems, Problem{at, fmt.Sprintf(format, arguments...)})
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	for {
		var document yaml.Node
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return objects, problems
		}
		if err != nil {
			at, text := yamlError(file, err)
			r.add(at, "this is no YAML: %s", text)
			return objects, problems
		}
		if len(document.Content) == 0 || document.Content[0].Tag == "!!null" {
			continue // nothing between two separators
		}
		before := len(problems)
		o := r.object(file, document.Content[0])
		if len(problems) == before {
			objects = append(objects, o)
		}
	}
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): (.*)$`)

// yamlError takes the place out of a parser's error.
func yamlError(file string, err error) (Position, string) {
	text := err.Error()
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		line, _ := strconv.Atoi(m[1])
		return Position{file, line, 1}, m[2]
	}
	return Position{file, 1, 1}, strings.TrimPrefix(text, "yaml: ")
}

// meant is the end of a message about an unknown word.
func (r Reader) meant(word string, known []string) string {
	if near := r.Nearest(word, known); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return "; there is " + strings.Join(known, ", ")
}

// toldOnly are fields of the API's answers that nobody sets.
var toldOnly = []string{"created_at", "updated_at", "version", "full_name", "system", "secret_fields", "warnings", "id", "by", "in_force", "live_leases", "groups", "has_password", "rotation", "paused_until", "pause_reason", "being_deleted_by", "provider"}

func (r Reader) object(file string, n *yaml.Node) Object {
	n = target(n)
	at := Position{file, n.Line, n.Column}
	o := Object{At: at, Fields: map[string]any{}, where: map[string]Position{}}
	members, ok := r.members(file, n)
	if !ok {
		return o
	}
	var names []string
	for _, k := range Kinds() {
		names = append(names, k.Name)
	}
	kindNode := members["kind"]
	if kindNode == nil {
		r.add(at, "this document has no kind: want kind: %s", strings.Join(names, ", "))
		return o
	}
	kind, known := kindOf(kindNode.Value)
	if !known {
		at := position(file, kindNode)
		switch {
		case kindNode.Value == "account":
			r.add(at, "there is no kind %q: an account has the kind user or service", kindNode.Value)
		default:
			r.add(at, "there is no kind %q%s", kindNode.Value, r.meant(kindNode.Value, names))
		}
		return o
	}
	o.Kind = kind.Name
	wrong := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], target(n.Content[i+1])
		if key.Value == "kind" {
			continue
		}
		f, known := kind.field(key.Value)
		switch {
		case !known && key.Value == "disabled" && (kind.Name == User || kind.Name == Service):
			r.add(position(file, key), "whether an account is disabled is not in files, so that none enables it again: brokerctl account disable")
			continue
		case !known && isOneOf(key.Value, toldOnly):
			r.add(position(file, key), "%q is what the broker tells and nobody sets: remove the line, or begin with what \"brokerctl export\" prints", key.Value)
			continue
		case !known:
			r.add(position(file, key), "a %s has no field %q%s", kind.Name, key.Value, r.meant(key.Value, kind.fieldNames()))
			continue
		}
		o.where[f.Name] = position(file, value)
		if value.Tag == "!!null" {
			continue // as if it were left out
		}
		read, ok := r.value(file, &o, f, value)
		if !ok {
			wrong[f.Name] = true
			continue
		}
		o.Fields[f.Name] = read
	}
	r.complete(&o, kind, wrong)
	o.Name = nameOf(kind.Name, o.Fields)
	return o
}

// complete tells what is missing, but for fields whose value was wrong, and what does not go together.
func (r Reader) complete(o *Object, kind Kind, wrong map[string]bool) {
	if full := o.text("name"); kind.Name == Secret && strings.Count(full, "/") == 2 {
		// As it is called everywhere else.
		i := strings.LastIndex(full, "/")
		if env := o.text("environment"); env != "" && env != full[:i] {
			r.add(o.Where("environment"), "the name says that it is in %s", full[:i])
		}
		o.Fields["environment"], o.Fields["name"] = full[:i], full[i+1:]
	}
	for _, f := range kind.Fields {
		if _, given := o.Fields[f.Name]; !given && f.Required && !wrong[f.Name] {
			r.add(o.At, "this %s has no %s", kind.Name, f.Name)
		}
	}
	switch kind.Name {
	case Environment:
		if app, env, ok := strings.Cut(o.text("name"), "/"); o.text("name") != "" && (!ok || app == "" || env == "" || strings.Contains(env, "/")) {
			r.add(o.Where("name"), "%q is no name of an environment: want app/env, e.g. payments/production", o.text("name"))
		}
	case RoleBinding:
		if (o.text("account") == "") == (o.text("group") == "") {
			r.add(o.At, "a role is given to an account or to a group: give one of them")
		}
	}
}

// value reads a field's value as its type wants it.
func (r Reader) value(file string, o *Object, f Field, n *yaml.Node) (any, bool) {
	wrong := func(format string, arguments ...any) (any, bool) {
		r.add(position(file, n), f.Name+" "+format, arguments...)
		return nil, false
	}
	if f.Sourced && f.Type == Text && n.Kind == yaml.MappingNode {
		source, ok := r.source(file, n)
		if !ok {
			return wrong("is a text, or has one of from_env and from_file")
		}
		return source, true
	}
	switch f.Type {
	case Text:
		if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
			return wrong("must be a text%s", inQuotes(n))
		}
		if len(f.Enum) > 0 && !isOneOf(n.Value, f.Enum) {
			return wrong("must be one of %s", strings.Join(f.Enum, ", "))
		}
		return n.Value, true
	case Number:
		var number int64
		if n.Tag != "!!int" || n.Decode(&number) != nil || number < 0 {
			return wrong("must be a whole number, not below zero")
		}
		return number, true
	case Truth:
		var truth bool
		if n.Tag != "!!bool" || n.Decode(&truth) != nil {
			return wrong("must be true or false")
		}
		return truth, true
	case Length:
		seconds, why := lengthOf(n)
		if why != "" {
			return wrong("%s", why)
		}
		return seconds, true
	case Instant:
		at, ok := instantOf(n)
		if !ok {
			return wrong("must be a time such as 2030-01-31T12:00:00Z")
		}
		return at, true
	case Texts:
		if n.Kind != yaml.SequenceNode {
			return wrong("must be a list: [%s]", n.Value)
		}
		list := []any{}
		for i, one := range n.Content {
			one = target(one)
			if one.Kind != yaml.ScalarNode || one.Tag != "!!str" {
				return wrong("must be a list of texts%s", inQuotes(one))
			}
			o.where[fmt.Sprintf("%s[%d]", f.Name, i)] = position(file, one)
			list = append(list, one.Value)
		}
		return list, true
	case Labels, Scope:
		return r.labels(file, o, f, n, wrong)
	case Settings:
		return r.settings(file, o, f, n, wrong)
	case Outputs:
		return r.outputs(file, o, f, n, wrong)
	}
	return wrong("has a type that this version does not know")
}

// source reads from_env or from_file. It reports false when the node has neither, or more.
func (r Reader) source(file string, n *yaml.Node) (Sourced, bool) {
	if len(n.Content) != 2 || target(n.Content[1]).Kind != yaml.ScalarNode {
		return Sourced{}, false
	}
	at, from := position(file, n.Content[1]), target(n.Content[1]).Value
	switch n.Content[0].Value {
	case "from_env":
		value, ok := r.Getenv(from)
		if !ok || value == "" {
			if !r.Lenient {
				r.add(at, "the variable %s is not set", from)
			}
			return Sourced{Origin: "$" + from, absent: true}, true
		}
		return Sourced{Origin: "$" + from, value: value}, true
	case "from_file":
		value, err := r.Open(file, from)
		if err == nil && value == "" {
			err = fmt.Errorf("there is nothing in %s", from)
		}
		if err != nil {
			if !r.Lenient {
				r.add(at, "%s", err)
			}
			return Sourced{Origin: from, absent: true}, true
		}
		return Sourced{Origin: from, value: value}, true
	}
	return Sourced{}, false
}
