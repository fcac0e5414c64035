package declare

import (
	"fmt"
	"maps"
	"strconv"
	"strings"

	"broker/api/types"
)

const (
	hour = int64(3600)
	day  = 24 * hour
)

// full returns every field of an object with its default where it was left out, brought to the form in which the broker
// shows it, as far as that can be known without asking. provider may be nil: nobody told which it is.
func full(o Object, provider *types.Provider) map[string]any {
	k, _ := kindOf(o.Kind)
	out := map[string]any{}
	for _, f := range k.Fields {
		value, given := o.Fields[f.Name]
		switch {
		case given:
		case f.Kept:
			continue
		case f.Default != nil:
			value = f.Default
		case f.Type == Texts || f.Type == Outputs:
			value = []any{}
		case f.Type == Labels || f.Type == Settings || f.Type == Scope:
			value = map[string]any{}
		case f.Type == Text || f.Type == Instant:
			value = ""
		}
		if value != nil {
			out[f.Name] = value
		}
	}
	switch o.Kind {
	case Connection:
		out["settings"] = fullSettings(o.group("settings"), provider, func(p *types.Provider) []types.Field { return p.Connection })
	case Secret:
		out["options"] = fullSettings(o.group("options"), provider, func(p *types.Provider) []types.Field { return p.Options })
		outputs, _ := out["outputs"].([]any)
		out["outputs"] = fullOutputs(outputs, provider)
		if len(outputs) == 0 && provider == nil {
			delete(out, "outputs") // nobody knows here which the provider has
		}
		ttl, hasTTL := o.Fields["default_ttl"].(int64)
		most, hasMost := o.Fields["max_ttl"].(int64)
		if !hasTTL {
			ttl = hour
			if hasMost {
				ttl = min(hour, most)
			}
		}
		if !hasMost {
			most = max(day, ttl)
		}
		out["default_ttl"], out["max_ttl"] = ttl, most
	case Group:
		out["members"] = sortedTexts(o.Texts("members"))
	}
	return out
}

func fullSettings(given map[string]any, provider *types.Provider, of func(*types.Provider) []types.Field) map[string]any {
	out := maps.Clone(given)
	if out == nil {
		out = map[string]any{}
	}
	if provider == nil {
		return out
	}
	for _, f := range of(provider) {
		value, ok := out[f.Name]
		if !ok && f.Default != nil && !f.Secret {
			value, ok = f.Default, true
		}
		if ok {
			out[f.Name] = normal(f, value)
		}
	}
	return out
}

// normal brings a value to the form that the broker gives it. What it cannot read it leaves: the broker says what is wrong.
func normal(f types.Field, value any) any {
	text, isText := value.(string)
	switch f.Type {
	case types.FieldInteger:
		if n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64); isText && err == nil {
			return n
		}
		if n, ok := value.(float64); ok && n == float64(int64(n)) {
			return int64(n)
		}
	case types.FieldBoolean:
		switch strings.ToLower(strings.TrimSpace(text)) {
		case "true", "yes", "on", "1":
			return true
		case "false", "no", "off", "0":
			return false
		}
	case types.FieldDuration:
		if d, err := types.ParseDuration(fmt.Sprint(value)); err == nil {
			return d.Std().String()
		}
	case types.FieldList:
		if isText && text != "" {
			return []any{text}
		}
		if isText || value == nil {
			return []any{}
		}
	case types.FieldString:
		if isText {
			return strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
		}
	}
	return value
}

// fullOutputs says of each output whether it is masked, as the broker decides: what is no secret need not be.
func fullOutputs(given []any, provider *types.Provider) []any {
	open := map[string]bool{}
	out := []any{}
	if provider != nil {
		for _, one := range provider.Outputs {
			open[one.Name] = !one.Secret
			if len(given) == 0 {
				out = append(out, map[string]any{"key": strings.ToUpper(one.Name), "source": one.Name, "masked": one.Secret})
			}
		}
	}
	for _, one := range given {
		output, _ := one.(map[string]any)
		source, _ := output["source"].(string)
		masked, told := output["masked"].(bool)
		out = append(out, map[string]any{"key": output["key"], "source": source, "masked": (masked || !told) && !open[source]})
	}
	return out
}
