package console

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"broker/api/types"
)

// secretForm is what the forms of a secret show: the steps in which one is made, and the page on which it is changed.
type secretForm struct {
	Form       *form
	At         string // the step
	Steps      []stepView
	Provider   types.Provider
	Secret     *types.Secret // that is changed; nil: a new one
	Options    described
	Outputs    []outputRow
	Connection field     // to choose or name one
	New        described // settings of a new connection
	MayConnect bool      // make one
	MayCheck   bool
	MayTest    bool
	Checked    string // what a check of the connection found
	Preview    *types.SecretPreview
	Warnings   []string
	Defaults   []choice // presets of the default TTL
	Carried    []hiddenField
	Merged     []mergedField
	Back       string
}

// stepView is one of the steps of a form.
type stepView struct {
	Number     int
	Title      string
	Here, Done bool
}

type hiddenField struct{ Name, Value string }

// outputRow is one output in a form.
type outputRow struct {
	N                        int
	Key, Source, Error       string
	KeyName, SourceName, Box string
	Masked                   bool
}

const maxOutputs = 64

// outputRows are those that were typed, and an empty one at their end.
func (f *form) outputRows() []outputRow {
	var rows []outputRow
	n := 0
	for ; n < maxOutputs; n++ {
		key := fmt.Sprintf("outputs.%d.", n)
		if _, there := f.Values[key+"key"]; !there {
			break
		}
		row := outputRow{N: n + 1, Key: f.get(key + "key"), Source: f.get(key + "source"), KeyName: key + "key", SourceName: key + "source", Box: key + "masked", Masked: f.on(key + "masked")}
		row.Error = f.Errors["outputs."+row.Key]
		rows = append(rows, row)
	}
	if n == 0 || rows[n-1].Key != "" || rows[n-1].Source != "" {
		key := fmt.Sprintf("outputs.%d.", n)
		rows = append(rows, outputRow{N: n + 1, KeyName: key + "key", SourceName: key + "source", Box: key + "masked", Masked: true})
	}
	return rows
}

// outputs are the rows that say something.
func (f *form) outputs() []types.Output {
	list := []types.Output{}
	for _, row := range f.outputRows() {
		if key, source := strings.TrimSpace(row.Key), strings.TrimSpace(row.Source); key != "" || source != "" {
			list = append(list, types.Output{Key: key, Source: source, Masked: &row.Masked})
		}
	}
	return list
}

// showOutputs puts outputs into what a form begins with.
func showOutputs(to url.Values, outputs []types.Output) {
	for i, one := range outputs {
		key := fmt.Sprintf("outputs.%d.", i)
		to.Set(key+"key", one.Key)
		to.Set(key+"source", one.Source)
		if one.Masked == nil || *one.Masked {
			to.Set(key+"masked", "1")
		}
	}
}

var notInKeys = regexp.MustCompile(`[^A-Z0-9]+`)

// firstOutputs are all that the provider gives, under keys that no other secret of the environment has.
func firstOutputs(provider types.Provider, connection string, others []types.Secret) []types.Output {
	taken := map[string]bool{}
	for _, one := range others {
		for _, output := range one.Outputs {
			taken[output.Key] = true
		}
	}
	prefix := ""
	for _, one := range provider.Outputs {
		if taken[strings.ToUpper(one.Name)] {
			prefix = strings.Trim(notInKeys.ReplaceAllString(strings.ToUpper(connection), "_"), "_") + "_"
		}
	}
	if prefix != "" && prefix[0] <= '9' {
		prefix = "_" + prefix
	}
	var list []types.Output
	for _, one := range provider.Outputs {
		masked := one.Secret
		list = append(list, types.Output{Key: prefix + strings.ToUpper(one.Name), Source: one.Name, Masked: &masked})
	}
	return list
}

// describeSecret puts a secret into what a form begins with.
func describeSecret(one types.Secret, provider types.Provider) url.Values {
	out := url.Values{
		"version": {fmt.Sprint(one.Version)}, "description": {one.Description}, "labels": {labelText(one.Labels)},
		"default_ttl": {one.DefaultTTL.String()}, "max_ttl": {one.MaxTTL.String()}, "issue_rate": {one.IssueRate},
	}
	if one.MaxLeases > 0 {
		out.Set("max_leases", fmt.Sprint(one.MaxLeases))
	}
	if one.Disabled {
		out.Set("disabled", "1")
	}
	describeValues(out, "options.", provider.Options, one.Options)
	showOutputs(out, one.Outputs)
	return out
}

func labelText(labels map[string]string) string {
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		lines = append(lines, key+"="+labels[key])
	}
	return strings.Join(lines, "\n")
}

// number reads a count; none is zero.
func (f *form) number(name string) uint64 {
	text := strings.TrimSpace(f.get(name))
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		f.Errors[name] = "must be a whole number"
	}
	return n
}

// spec is what was typed of a new secret.
func (f *form) spec(provider types.Provider) types.SecretSpec {
	if f.get("name") == "" {
		f.Errors["name"] = "a name such as orders-ro: letters, digits, '_', '.' and '-'"
	}
	return types.SecretSpec{
		Name: f.get("name"), Description: f.get("description"), Connection: f.get("connection"), Options: f.describedValues("options.", provider.Options, nil),
		DefaultTTL: f.duration("default_ttl"), MaxTTL: f.duration("max_ttl"), Outputs: f.outputs(), Labels: f.labels("labels"),
		MaxLeases: f.number("max_leases"), IssueRate: f.get("issue_rate"),
	}
}

// carried are the fields that a step does not show, but those that are secret.
func (f *form) carried(shown func(name string) bool) []hiddenField {
	var list []hiddenField
	for _, name := range slices.Sorted(maps.Keys(f.Values)) {
		if name == "idempotency_key" || name == "version" || name == "at" || name == "go" || strings.HasPrefix(name, "settings.") || shown(name) {
			continue
		}
		list = append(list, hiddenField{name, f.get(name)})
	}
	return list
}

func plural(n int, one string) string { return count(n, one, one+"s") }

func lower(text string) string { return strings.ToLower(strings.TrimSpace(text)) }
