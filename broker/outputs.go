package broker

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"broker/fsm"
	"broker/providers"
)

// placeholder is `{{name}}` or `{{name | urlencode}}`.
var placeholder = regexp.MustCompile(`\{\{\s*([a-zA-Z0-9_]+)\s*(?:\|\s*([a-zA-Z0-9_]+)\s*)?\}\}`)

// checkOutputs returns what is wrong with a secret's outputs.
func checkOutputs(outputs []fsm.Output, d providers.Description) []providers.FieldError {
	var problems []providers.FieldError
	seen := map[string]bool{}
	for _, o := range outputs {
		wrong := func(format string, args ...any) {
			problems = append(problems, providers.FieldError{Field: "outputs." + o.Key, Message: fmt.Sprintf(format, args...)})
		}
		if !fsm.ValidOutputKey(o.Key) {
			wrong("an output's key is letters, digits and '_', not beginning with a digit")
		}
		if seen[o.Key] {
			wrong("this key is given twice")
		}
		seen[o.Key] = true
		if !strings.Contains(o.Source, "{{") {
			if _, ok := d.Output(o.Source); !ok {
				wrong("provider %s has no output %q: it has %s", d.Name, o.Source, strings.Join(d.OutputNames(), ", "))
			}
			continue
		}
		for _, m := range placeholder.FindAllStringSubmatch(o.Source, -1) {
			if _, ok := d.Output(m[1]); !ok {
				wrong("provider %s has no output %q: it has %s", d.Name, m[1], strings.Join(d.OutputNames(), ", "))
			}
			if m[2] != "" && m[2] != "urlencode" {
				wrong("there is no filter %q: there is urlencode", m[2])
			}
		}
		if rest := placeholder.ReplaceAllString(o.Source, ""); strings.Contains(rest, "{{") || strings.Contains(rest, "}}") {
			wrong("a template's placeholders are {{name}} or {{name | urlencode}}")
		}
	}
	return problems
}

// defaultOutputs gives every output of the provider its upper-case name.
func defaultOutputs(d providers.Description) []fsm.Output {
	outputs := make([]fsm.Output, 0, len(d.Outputs))
	for _, o := range d.Outputs {
		outputs = append(outputs, fsm.Output{Key: strings.ToUpper(o.Name), Source: o.Name, Plain: !o.Secret})
	}
	return outputs
}

// mask decides which outputs are shown unmasked when nobody said so: fields that are no secret.
func mask(outputs []fsm.Output, d providers.Description) []fsm.Output {
	outputs = slices.Clone(outputs)
	for i, o := range outputs {
		if field, ok := d.Output(o.Source); ok && !field.Secret {
			outputs[i].Plain = true
		}
	}
	return outputs
}

// render fills a secret's outputs with a credential's values.
func render(outputs []fsm.Output, values providers.Values) ([]Value, error) {
	list := make([]Value, 0, len(outputs))
	for _, o := range outputs {
		text := o.Source
		if !strings.Contains(text, "{{") {
			text = "{{" + text + "}}"
		}
		var missing string
		text = placeholder.ReplaceAllStringFunc(text, func(s string) string {
			m := placeholder.FindStringSubmatch(s)
			v, ok := values[m[1]]
			if !ok {
				missing = m[1]
			}
			if m[2] == "urlencode" {
				return url.QueryEscape(v.Reveal())
			}
			return v.Reveal()
		})
		if missing != "" {
			return nil, fmt.Errorf("output %q needs %q, which the provider did not give", o.Key, missing)
		}
		list = append(list, Value{Key: o.Key, Value: providers.NewSecret(text), Plain: o.Plain})
	}
	return list, nil
}
