package agent

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parse decodes one YAML document and refuses keys that mean nothing.
func (c *Config) parse(text []byte) error {
	var document yaml.Node
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	err := decoder.Decode(&document)
	if errors.Is(err, io.EOF) {
		return c.wrong(1, "it is empty; want at least state and secrets")
	}
	if err != nil {
		return c.decoding(err)
	}
	if more := (&yaml.Node{}); decoder.Decode(more) == nil {
		return c.wrong(more.Line, "there is a second document; an agent has one")
	}
	root := document.Content[0]
	if err := c.known(root, reflect.TypeFor[Config](), "an agent"); err != nil {
		return err
	}
	if err := root.Decode(c); err != nil {
		return c.decoding(err)
	}
	return nil
}

var atLine = regexp.MustCompile(`line (\d+): (.*)`)

// decoding says where a decoder's error is in our words.
func (c *Config) decoding(err error) error {
	found := atLine.FindStringSubmatch(err.Error())
	if found == nil {
		return fmt.Errorf("%s: %w", c.path, err)
	}
	line, _ := strconv.Atoi(found[1]) // it is a number
	what := regexp.MustCompile(`cannot unmarshal \S+( .*)? into (\S+)`).ReplaceAllStringFunc(found[2], func(s string) string {
		switch {
		case strings.HasSuffix(s, "bool"):
			return "want true or false here"
		case strings.HasSuffix(s, "[]string"), strings.Contains(s, "into []"):
			return "want a list here"
		case strings.HasSuffix(s, "string"):
			return "want a text here"
		}
		return "want keys with values here"
	})
	return c.wrong(line, "%s", what)
}

// known refuses keys that the type does not have, and nothings in lists.
func (c *Config) known(node *yaml.Node, want reflect.Type, where string) error {
	for want.Kind() == reflect.Pointer {
		want = want.Elem()
	}
	switch {
	case node.Kind == yaml.AliasNode:
		return c.known(node.Alias, want, where)
	case want.Kind() == reflect.Slice && node.Kind == yaml.SequenceNode:
		for _, item := range node.Content {
			if item.Tag == "!!null" {
				return c.wrong(item.Line, "there is nothing in this item of %s", where)
			}
			if err := c.known(item, want.Elem(), where); err != nil {
				return err
			}
		}
	case want.Kind() == reflect.Struct && node.Kind == yaml.MappingNode:
		fields := fieldsOf(want)
		for i := 0; i+1 < len(node.Content); i += 2 {
			key, value := node.Content[i], node.Content[i+1]
			at := slices.IndexFunc(fields, func(f reflect.StructField) bool { return tagOf(f) == key.Value })
			if at < 0 {
				names := make([]string, len(fields))
				for i, one := range fields {
					names[i] = tagOf(one)
				}
				return c.wrong(key.Line, "%s has no %q; it has %s", where, key.Value, strings.Join(names, ", "))
			}
			if err := c.known(value, fields[at].Type, tagOf(fields[at])); err != nil {
				return err
			}
		}
	}
	return nil
}

// fieldsOf returns the fields that a document can set.
func fieldsOf(of reflect.Type) (fields []reflect.StructField) {
	for _, one := range reflect.VisibleFields(of) {
		if one.IsExported() && !one.Anonymous && tagOf(one) != "" {
			fields = append(fields, one)
		}
	}
	return fields
}

func tagOf(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return name
}

// UnmarshalYAML notes the line besides.
func (s *Secret) UnmarshalYAML(node *yaml.Node) error {
	type plain Secret
	s.line = node.Line
	return node.Decode((*plain)(s))
}

// UnmarshalYAML notes the lines besides.
func (f *File) UnmarshalYAML(node *yaml.Node) error {
	type plain File
	f.line = node.Line
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value != "template" {
			continue
		}
		f.templateLine = node.Content[i+1].Line
		if node.Content[i+1].Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
			f.templateLine++ // the text begins below
		}
	}
	return node.Decode((*plain)(f))
}

// UnmarshalYAML notes the line besides.
func (o *Object) UnmarshalYAML(node *yaml.Node) error {
	type plain Object
	o.line = node.Line
	return node.Decode((*plain)(o))
}

// UnmarshalYAML notes the line besides.
func (r *Reload) UnmarshalYAML(node *yaml.Node) error {
	type plain Reload
	r.line = node.Line
	return node.Decode((*plain)(r))
}
