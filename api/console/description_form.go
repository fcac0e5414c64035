package console

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"broker/api/types"
)

// described are the inputs of what a provider describes: those that people think of, and those that are seldom touched.
type described struct {
	Main, More []field
	Open       bool // something of More is set, or wrong
}

// describe makes an input of each field. Its name is the field's behind the prefix ("settings.", "options."), as the API
// names it in problems. Kept are the secret fields that have a value already: they are never shown, and an empty input
// leaves them.
func (f *form) describe(prefix string, fields []types.Field, kept ...string) described {
	var out described
	for _, one := range fields {
		in := f.describeField(prefix, one, slices.Contains(kept, one.Name))
		if one.Required || one.Locates || one.Secret || one.Default == nil && one.Type != types.FieldBoolean {
			out.Main = append(out.Main, in)
			continue
		}
		out.More = append(out.More, in)
		out.Open = out.Open || in.Error != "" || in.Value != "" && in.Value != describedText(one, one.Default) || one.Type == types.FieldBoolean && in.Checked != (one.Default == true)
	}
	return out
}

func (f *form) describeField(prefix string, one types.Field, kept bool) field {
	in := field{
		ID: f.inputID(prefix + one.Name), Name: prefix + one.Name, Label: fieldLabel(one.Name), Type: "text",
		Value: f.get(prefix + one.Name), Error: f.Errors[prefix+one.Name], Help: one.Help, Required: one.Required && !kept, Mono: true,
	}
	switch fallback := describedText(one, one.Default); {
	case kept:
		in.Placeholder = "kept unless another is given"
	case fallback != "":
		in.Placeholder = fallback
	case one.Example != "":
		in.Placeholder = "e.g. " + one.Example
	}
	switch one.Type {
	case types.FieldBoolean:
		in.Type, in.Checked, in.Required = "checkbox", f.on(in.Name), false
	case types.FieldInteger:
		in.InputMode = "numeric"
		if one.Min != nil && one.Max != nil {
			in.Help += fmt.Sprintf(" From %d to %d.", *one.Min, *one.Max)
		}
	case types.FieldText:
		in.Rows = 4
	case types.FieldList:
		in.Rows = min(max(2, 1+strings.Count(in.Value, "\n")), 12)
		in.Help += " One a line."
		if one.Statements {
			in.Help += " A line that begins with a space goes on with the one before."
		}
	}
	if len(one.Enum) > 0 {
		in.Options = append(in.Options, choice{"", cmp.Or(prefixed("Default: ", describedText(one, one.Default)), "Not given")})
		for _, value := range one.Enum {
			in.Options = append(in.Options, choice{value, value})
		}
	}
	if one.Secret {
		in.Value = ""
		if in.Rows == 0 {
			in.Type, in.Autocomplete = "password", "new-password"
		}
	}
	return in
}

// describeValues puts values into what a form begins with: those that are stored or, for something new, nil.
func describeValues(to url.Values, prefix string, fields []types.Field, values map[string]any) {
	for _, one := range fields {
		value, set := values[one.Name]
		if !set && one.Type == types.FieldBoolean {
			value = one.Default
		}
		if text := describedText(one, value); text != "" && !one.Secret {
			to.Set(prefix+one.Name, text)
		}
	}
}

// describedValues reads what was given, as the API wants it: what differs from the values there are, nil for something
// new. An emptied field is null, which removes it; what cannot be read becomes an error at the field.
func (f *form) describedValues(prefix string, fields []types.Field, present map[string]any) map[string]any {
	out := map[string]any{}
	for _, one := range fields {
		name := prefix + one.Name
		text := strings.ReplaceAll(f.get(name), "\r\n", "\n")
		if !one.Secret && one.Type != types.FieldText {
			text = strings.TrimRight(text, " \n\t")
		}
		before, set := present[one.Name]
		if one.Type == types.FieldBoolean {
			if !set {
				before = one.Default
			}
			if f.on(name) != (before == true) {
				out[one.Name] = f.on(name)
			}
			continue
		}
		if one.Secret && text == "" || !one.Secret && text == describedText(one, before) {
			continue
		}
		if text == "" {
			out[one.Name] = nil
			continue
		}
		value, wrong := describedValue(one, text)
		if wrong != "" {
			f.Errors[name] = wrong
			continue
		}
		out[one.Name] = value
	}
	return out
}

// describedValue is what a text means, or what would be right.
func describedValue(one types.Field, text string) (value any, wrong string) {
	switch one.Type {
	case types.FieldInteger:
		n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
		if err != nil {
			return nil, "must be a whole number"
		}
		return n, ""
	case types.FieldDuration:
		if _, err := types.ParseDuration(text); err != nil {
			return nil, types.DurationRule
		}
		return strings.TrimSpace(text), ""
	case types.FieldList:
		return listOf(text), ""
	}
	return text, ""
}

// describedText is how a value is typed.
func describedText(one types.Field, value any) string {
	switch value := value.(type) {
	case nil:
		return ""
	case bool:
		if value {
			return "1"
		}
		return ""
	case float64: // as JSON has numbers
		return strconv.FormatFloat(value, 'f', -1, 64)
	case []any:
		var lines []string
		for _, item := range value {
			lines = append(lines, strings.ReplaceAll(strings.Trim(fmt.Sprint(item), " \n"), "\n", "\n "))
		}
		return strings.Join(lines, "\n")
	case string:
		if d, err := types.ParseDuration(value); err == nil && one.Type == types.FieldDuration {
			return d.String()
		}
		return value
	}
	return fmt.Sprint(value)
}

// listOf reads one item a line. A line that begins with a space goes on with the item before.
func listOf(text string) []string {
	var list []string
	for line := range strings.SplitSeq(text, "\n") {
		switch {
		case strings.TrimSpace(line) == "":
		case strings.HasPrefix(line, " ") && len(list) > 0:
			list[len(list)-1] += "\n" + line[1:]
		default:
			list = append(list, strings.TrimSpace(line))
		}
	}
	return list
}

// fieldLabel is the name of a field as people read it.
func fieldLabel(name string) string {
	words := strings.Split(name, "_")
	for i, word := range words {
		switch word {
		case "url", "tls", "ssl", "dn", "id", "arn", "ldif", "dns", "uri", "ip", "ca", "ttl", "scram", "aws", "pem", "sts", "iam":
			words[i] = strings.ToUpper(word)
		case "arns":
			words[i] = "ARNs"
		case "starttls":
			words[i] = "StartTLS"
		case "sslmode":
			words[i] = "SSL mode"
		case "sslrootcert":
			words[i] = "SSL root certificates"
		}
	}
	text := strings.Join(words, " ")
	return strings.ToUpper(text[:1]) + text[1:]
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}
