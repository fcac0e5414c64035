package providers

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ValidateConnection brings the values of a connection's fields, as they come from JSON, CBOR or a
// command line, to the types that the description names and fills defaults in. Each problem names
// its field: unknown fields (with the nearest known one), missing required ones, wrong types and
// values out of range. A nil value counts as not given. What it returns without a problem,
// validates again to itself, also after a way through JSON or CBOR.
func (d Description) ValidateConnection(values map[string]any) (Settings, []FieldError) {
	validated, problems := validate(d.Connection, values)
	return Settings(validated), problems
}

// ValidateOptions does for a secret's options what ValidateConnection does for a connection. What no
// single field can tell is checked by [Provider].ValidateOptions afterwards.
func (d Description) ValidateOptions(values map[string]any) (Options, []FieldError) {
	validated, problems := validate(d.Options, values)
	if template, ok := validated[OptionLoginName].(string); ok {
		if wrong := CheckNameTemplate(template); wrong != "" {
			problems = append(problems, FieldError{OptionLoginName, wrong})
		}
	}
	return Options(validated), problems
}

// ValidateParameters does for the parameters of a request for a lease what ValidateConnection does for a connection. Each is bounded, since they are kept with the lease and whoever may ask for one sends them. What no single field can tell
// is checked by [CheckParameters] afterwards.
func (d Description) ValidateParameters(values map[string]any) (Parameters, []FieldError) {
	validated, problems := validate(d.Parameters, values)
	for _, name := range slices.Sorted(maps.Keys(validated)) {
		if length := len(stringValue(validated[name])); length > longestParameter {
			problems = append(problems, FieldError{name, fmt.Sprintf("has %d bytes, and at most %d are taken", length, longestParameter)})
		}
	}
	return Parameters(validated), problems
}

// longestParameter is how many bytes a parameter of a request for a lease may have. A signing request with a key of 8192
// bits has three thousand.
const longestParameter = 16 << 10

// Output returns the output of that name and whether there is one.
func (d Description) Output(name string) (Output, bool) {
	for _, o := range d.Outputs {
		if o.Name == name {
			return o, true
		}
	}
	return Output{}, false
}

// OutputNames returns the names of all outputs in the description's order.
func (d Description) OutputNames() []string {
	names := make([]string, len(d.Outputs))
	for i, o := range d.Outputs {
		names[i] = o.Name
	}
	return names
}

// SplitSecrets separates the settings that are sealed from those that may be read. Together they are
// the settings given; a field that the description does not know counts as secret.
func (d Description) SplitSecrets(settings Settings) (public, secret Settings) {
	public, secret = Settings{}, Settings{}
	for name, value := range settings {
		if f, known := field(d.Connection, name); known && !f.Secret {
			public[name] = value
		} else {
			secret[name] = value
		}
	}
	return public, secret
}

// Secrets returns the values of the secret fields, sorted by field name, for [Redacting].
func (d Description) Secrets(settings Settings) []Secret {
	_, secret := d.SplitSecrets(settings)
	var values []Secret
	for _, name := range slices.Sorted(maps.Keys(secret)) {
		if value := stringValue(secret[name]); value != "" {
			values = append(values, NewSecret(value))
		}
	}
	return values
}

// Underived returns the settings without the fields that are worked out of others, except those named.
func (d Description) Underived(settings Settings, except map[string]any) Settings {
	rest := maps.Clone(settings)
	for _, f := range d.Connection {
		if _, given := except[f.Name]; f.Derived && !given {
			delete(rest, f.Name)
		}
	}
	return rest
}

// SameLocation reports whether two settings agree in every field that says which system a connection
// points at.
func (d Description) SameLocation(a, b Settings) bool {
	for _, f := range d.Connection {
		if f.Locates && fmt.Sprint(a[f.Name]) != fmt.Sprint(b[f.Name]) {
			return false
		}
	}
	return true
}

func field(fields []Field, name string) (Field, bool) {
	for _, f := range fields {
		if f.Name == name {
			return f, true
		}
	}
	return Field{}, false
}

func validate(fields []Field, values map[string]any) (map[string]any, []FieldError) {
	validated := make(map[string]any, len(fields))
	var problems []FieldError
	for _, f := range fields {
		value, given := values[f.Name]
		if !given || value == nil {
			value = f.Default
		}
		if value == nil {
			if f.Required {
				problems = append(problems, FieldError{f.Name, "is required"})
			}
			continue
		}
		coerced, problem := f.coerce(value)
		if problem == "" && f.Required && isEmpty(coerced) {
			problem = "is required and must not be empty"
		}
		if problem != "" {
			problems = append(problems, FieldError{f.Name, problem})
			continue
		}
		validated[f.Name] = coerced
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if _, known := field(fields, name); !known {
			problems = append(problems, FieldError{name, unknownField(fields, name)})
		}
	}
	return validated, problems
}

func isEmpty(value any) bool {
	switch v := value.(type) {
	case string:
		return v == ""
	case []string:
		return len(v) == 0
	}
	return false
}

// unknownField says which field was probably meant, or else which there are.
func unknownField(fields []Field, name string) string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	slices.Sort(names)
	if near := nearest(name, names); near != "" {
		return fmt.Sprintf("is unknown; did you mean %s?", near)
	}
	return "is unknown; known are " + strings.Join(names, ", ")
}

// nearest returns the candidate that a typing error could have made into name, or "".
func nearest(name string, candidates []string) string {
	best, bestDistance := "", max(len(name)/3, 1)+1
	for _, candidate := range candidates {
		if d := distance(name, candidate); d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	return best
}

// distance counts the insertions, removals and replacements of bytes between two names.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			above := row[j+1]
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(above+1, row[j]+1, diagonal+cost)
			diagonal = above
		}
	}
	return row[len(b)]
}

// check finds contradictions in a description, which are mistakes of whoever wrote it.
func (d Description) check() error {
	if d.Name == "" {
		return errors.New("it has no name")
	}
	for _, f := range d.Parameters {
		if f.Secret {
			return fmt.Errorf("parameter %q is secret, and parameters are kept with the lease", f.Name)
		}
	}
	for _, fields := range [][]Field{d.Connection, d.Options, d.Parameters} {
		seen := map[string]bool{}
		for _, f := range fields {
			if seen[f.Name] {
				return fmt.Errorf("field %q is described twice", f.Name)
			}
			seen[f.Name] = true
			if f.Default != nil {
				if _, problem := f.coerce(f.Default); problem != "" {
					return fmt.Errorf("default of field %q: %s", f.Name, problem)
				}
			}
		}
	}
	seen := map[string]bool{}
	for _, o := range d.Outputs {
		if seen[o.Name] {
			return fmt.Errorf("output %q is described twice", o.Name)
		}
		seen[o.Name] = true
	}
	return nil
}
