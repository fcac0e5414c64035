package agent

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"

	"broker/api/types"
)

// functions are what templates have besides those of the language.
var functions = template.FuncMap{
	"json": func(v any) (string, error) {
		text, err := asJSON(v, "")
		return strings.TrimSuffix(string(text), "\n"), err
	},
	"base64":    func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"urlencode": func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") },
	"shellquote": func(s string) string {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	},
	"trim": strings.TrimSpace,
}

// asJSON leaves characters as they are that only HTML minds.
func asJSON(v any, indent string) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
	err := encoder.Encode(v)
	return out.Bytes(), err
}

func parseTemplate(name, text string) (*template.Template, error) {
	return template.New(name).Option("missingkey=error").Funcs(functions).Parse(text)
}

// checkNames refuses a template over several secrets that names another one, as far as that can be seen.
func checkNames(t *template.Template, names []string) error {
	var wrong error
	var look func(parse.Node)
	look = func(node parse.Node) {
		var ident []string
		switch n := node.(type) {
		case *parse.ListNode:
			if n != nil {
				for _, one := range n.Nodes {
					look(one)
				}
			}
		case *parse.ActionNode:
			look(n.Pipe)
		case *parse.IfNode:
			look(n.Pipe)
			look(n.List)
			look(n.ElseList)
		case *parse.PipeNode:
			for _, one := range n.Cmds {
				for _, arg := range one.Args {
					look(arg)
				}
			}
		case *parse.FieldNode:
			ident = n.Ident
		case *parse.VariableNode:
			if n.Ident[0] == "$" {
				ident = n.Ident[1:]
			}
		}
		if len(ident) > 0 && !slices.Contains(names, ident[0]) && wrong == nil {
			place, _ := t.ErrorContext(node)
			wrong = fmt.Errorf("template: %s: there is no secret .%s here; there is .%s", place, ident[0], strings.Join(names, ", ."))
		}
	}
	look(t.Root)
	return wrong
}

// given are the values of the secrets of a target, in its order.
type given []named

type named struct {
	as     string
	values types.Values
}

// flat returns all values; two with the same key are an error.
func (g given) flat() (types.Values, error) {
	var all types.Values
	for _, one := range g {
		for _, value := range one.values {
			if _, there := all.Get(value.Key); there {
				return nil, fmt.Errorf("two secrets have the key %s: use a template, which names them", value.Key)
			}
			all = append(all, value)
		}
	}
	return all, nil
}

// data is what templates see: the keys of one secret, or the names of several and then their keys.
func (g given) data() any {
	all := map[string]map[string]string{}
	for _, one := range g {
		all[one.as] = map[string]string{}
		for _, value := range one.values {
			all[one.as][value.Key] = value.Value
		}
	}
	if len(g) == 1 {
		return all[g[0].as]
	}
	return all
}

// fill returns what a template makes of the values.
func (g given) fill(name, text string) ([]byte, error) {
	parsed, err := parseTemplate(name, text)
	if err != nil {
		return nil, err
	}
	var out strings.Builder
	if err := parsed.Execute(&out, g.data()); err != nil {
		return nil, err
	}
	return []byte(out.String()), nil
}

// value returns one value of one secret.
func (g given) value(key string) ([]byte, error) {
	value, there := g[0].values.Get(key)
	if !there {
		return nil, fmt.Errorf("the secret has no key %q; it has %s", key, strings.Join(g[0].values.Keys(), ", "))
	}
	return []byte(value), nil
}

// render returns what is to be in the file.
func (f *File) render(g given) ([]byte, error) {
	switch f.Format {
	case "template":
		return g.fill(f.Path, f.Template)
	case "value":
		return g.value(f.Key)
	}
	values, err := g.flat()
	if err != nil {
		return nil, err
	}
	switch f.Format {
	case "env":
		return values.DotenvLines()
	case "shell":
		return values.ShellLines()
	default:
		return asJSON(values, "  ")
	}
}

// render returns what is to be in the Secret.
func (o *Object) render(g given) (map[string][]byte, error) {
	data := map[string][]byte{}
	if len(o.Keys)+len(o.Templates) == 0 {
		for _, one := range g[0].values {
			data[one.Key] = []byte(one.Value)
		}
	}
	for key, source := range o.Keys {
		value, err := g.value(source)
		if err != nil {
			return nil, err
		}
		data[key] = value
	}
	for key, text := range o.Templates {
		filled, err := g.fill("templates."+key, text)
		if err != nil {
			return nil, err
		}
		data[key] = filled
	}
	return data, nil
}

// forms returns a value as it may stand in what is written.
func forms(value string) []string {
	all := []string{value}
	for _, form := range functions {
		switch form := form.(type) {
		case func(string) string:
			all = append(all, form(value))
		case func(any) (string, error):
			if text, err := form(value); err == nil {
				all = append(all, strings.Trim(text, `"`))
			}
		}
	}
	one := types.Values{{Value: value}}
	for _, lines := range []func() ([]byte, error){one.DotenvLines, one.ShellLines} {
		if text, err := lines(); err == nil {
			_, quoted, _ := strings.Cut(strings.TrimSpace(string(text)), "=")
			all = append(all, strings.Trim(quoted, `"'`))
		}
	}
	return all
}

// redact hides the values in a text, in all of their forms.
func redact(text string, all []types.Values) string {
	var hidden []string
	for _, values := range all {
		for _, one := range values {
			hidden = append(hidden, forms(one.Value)...)
			// The line of a value with several of them is as telling.
			for line := range strings.Lines(one.Value) {
				if line = strings.TrimSpace(line); len(line) > 3 {
					hidden = append(hidden, line)
				}
			}
		}
	}
	hidden = slices.DeleteFunc(hidden, func(one string) bool { return strings.Trim(one, `"'`) == "" })
	slices.SortFunc(hidden, func(a, b string) int { return len(b) - len(a) }) // what holds another first
	for _, one := range hidden {
		text = strings.ReplaceAll(text, one, "[redacted]")
	}
	return text
}
