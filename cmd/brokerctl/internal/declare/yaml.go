package declare

import (
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"broker/api/types"
)

func position(file string, n *yaml.Node) Position { return Position{file, n.Line, n.Column} }

// target follows an alias to what it stands for.
func target(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// members returns what a mapping holds. Names that are given twice are told.
func (r Reader) members(file string, n *yaml.Node) (map[string]*yaml.Node, bool) {
	if n.Kind != yaml.MappingNode {
		r.add(position(file, n), "want fields such as name: …, each on a line of its own")
		return nil, false
	}
	out := map[string]*yaml.Node{}
	ok := true
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode {
			r.add(position(file, key), "this is no name of a field")
			ok = false
			continue
		}
		if _, twice := out[key.Value]; twice {
			r.add(position(file, key), "%q is given twice", key.Value)
			ok = false
		}
		out[key.Value] = target(n.Content[i+1])
	}
	return out, ok
}

// decoded returns a scalar or a list as Go values. Times stay texts.
func decoded(n *yaml.Node) (any, error) {
	if n.Tag == "!!timestamp" {
		return n.Value, nil
	}
	var out any
	if err := n.Decode(&out); err != nil {
		return nil, err
	}
	return whole(out), nil
}

// whole has every whole number be an int64.
func whole(value any) any {
	switch v := value.(type) {
	case int:
		return int64(v)
	case uint64:
		return float64(v) // beyond what an int64 holds
	case time.Time:
		return v.Format(time.RFC3339Nano)
	case []any:
		for i := range v {
			v[i] = whole(v[i])
		}
	}
	return value
}

// inQuotes says how a number or truth value becomes a text.
func inQuotes(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode && n.Tag != "!!null" && n.Value != "" {
		return `, in quotes: "` + n.Value + `"`
	}
	return ""
}

// lengthOf reads a length of time, in whole seconds.
func lengthOf(n *yaml.Node) (seconds int64, wrong string) {
	d, err := types.ParseDuration(n.Value)
	switch {
	case n.Kind != yaml.ScalarNode || err != nil:
		return 0, types.DurationRule
	case d <= 0:
		return 0, "must be longer than zero"
	case d.Std()%time.Second != 0:
		return 0, "must be in whole seconds"
	}
	return d.Seconds(), ""
}

func instantOf(n *yaml.Node) (string, bool) {
	at, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(n.Value))
	if n.Kind != yaml.ScalarNode || err != nil {
		return "", false
	}
	return instantText(at), true
}

func isOneOf(word string, words []string) bool { return slices.Contains(words, word) }

// lengthText writes whole seconds as people do.
func lengthText(value any) string {
	seconds, _ := value.(int64)
	return types.Duration(time.Duration(seconds) * time.Second).String()
}
