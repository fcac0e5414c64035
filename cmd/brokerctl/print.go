package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"broker/api/types"
)

// checkFormat refuses a format before anything is done in a way that cannot be printed.
func (a *app) checkFormat(cmd *cobra.Command) error {
	known := []string{"table", "json", "yaml", "name"}
	variables := cmd.Annotations[annotationVariables] != ""
	if variables {
		known = append(known, "env", "dotenv")
	}
	if cmd.Annotations[annotationCSV] != "" {
		known = append(known, "csv")
	}
	given := cmd.Flags().Changed("format") && a.format != "name"
	switch {
	case a.quiet && given && !variables:
		return usage("-q and -o %s exclude each other", a.format)
	case a.quiet && a.field != "":
		return usage("-q and --field exclude each other")
	case a.quiet && !given:
		a.format = "name"
	}
	if !slices.Contains(known, a.format) {
		return usage("format %q is not possible here: want %s", a.format, strings.Join(known, ", "))
	}
	return nil
}

// annotationVariables marks commands that can print values as variables.
const annotationVariables = "variables"

// annotationCSV marks commands that can print CSV.
const annotationCSV = "csv"

// row is one line about an object: a title and its value.
type row struct{ title, value string }

// show prints one object: its rows for people, or the object itself for programs.
func (a *app) show(object any, name string, rows []row) error {
	switch {
	case a.field != "":
		return a.showField(object)
	case a.format == "name":
		_, err := fmt.Fprintln(a.out, name)
		return err
	case a.format == "json" || a.format == "yaml":
		return a.encode(object)
	}
	table := a.table()
	for _, one := range rows {
		if one.value != "" {
			fmt.Fprintf(table, "%s\t%s\n", a.title(one.title), clean(one.value))
		}
	}
	return table.Flush()
}

// list prints many objects: a table for people, tab-separated lines in a pipe, or the objects.
func list[T any](a *app, objects []T, name func(T) string, header []string, cells func(T) []string) error {
	switch {
	case a.field != "":
		for _, one := range objects {
			if err := a.showField(one); err != nil {
				return err
			}
		}
		return nil
	case a.format == "name":
		for _, one := range objects {
			if _, err := fmt.Fprintln(a.out, name(one)); err != nil {
				return err
			}
		}
		return nil
	case a.format == "json" || a.format == "yaml":
		if objects == nil {
			objects = []T{}
		}
		return a.encode(objects)
	}
	table := a.table()
	if a.terminal && len(objects) > 0 {
		fmt.Fprintln(table, strings.Join(header, "\t"))
	}
	for _, one := range objects {
		line := cells(one)
		for i := range line {
			line[i] = clean(line[i])
		}
		fmt.Fprintln(table, strings.Join(line, "\t"))
	}
	return table.Flush()
}

// table gathers lines, whose columns are aligned in a terminal; in a pipe the tabs stay. They are written at
// once by Flush, so that no failure of the output is missed.
type table struct {
	io.Writer
	aligned *tabwriter.Writer // nil in a pipe
	text    *bytes.Buffer
	out     io.Writer
}

func (a *app) table() table { return a.tableTo(a.out) }

func (a *app) tableTo(out io.Writer) table {
	text := &bytes.Buffer{}
	if !a.terminal {
		return table{Writer: text, text: text, out: out}
	}
	aligned := tabwriter.NewWriter(text, 0, 8, 2, ' ', 0)
	return table{Writer: aligned, aligned: aligned, text: text, out: out}
}

// Flush writes the lines.
func (t table) Flush() error {
	if t.aligned != nil {
		if err := t.aligned.Flush(); err != nil {
			return err
		}
	}
	_, err := t.out.Write(t.text.Bytes())
	return err
}

// title is a row's title: words for people, a name for programs.
func (a *app) title(text string) string {
	if a.terminal {
		return text + ":"
	}
	return strings.ReplaceAll(strings.ToLower(text), " ", "_")
}

func (a *app) encode(object any) error {
	text, err := a.encoded(object)
	if err != nil {
		return err
	}
	_, err = a.out.Write(text)
	return err
}

// encoded returns an object as JSON or YAML.
func (a *app) encoded(object any) ([]byte, error) {
	text, err := encodeJSON(object)
	if err != nil {
		return nil, err
	}
	if a.format == "yaml" {
		// JSON is YAML; going through it keeps names and order of the API.
		var node yaml.Node
		if err := yaml.Unmarshal(text, &node); err != nil {
			return nil, fmt.Errorf("converting to YAML: %w", err)
		}
		plainStyle(&node)
		if text, err = yaml.Marshal(&node); err != nil {
			return nil, fmt.Errorf("encoding YAML: %w", err)
		}
	}
	return text, nil
}

func encodeJSON(object any) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(object); err != nil {
		return nil, fmt.Errorf("encoding JSON: %w", err)
	}
	return text.Bytes(), nil
}

// plainStyle drops JSON's braces and quotes; the encoder puts back the quotes that are needed.
func plainStyle(node *yaml.Node) {
	node.Style &^= yaml.FlowStyle | yaml.DoubleQuotedStyle
	for _, child := range node.Content {
		plainStyle(child)
	}
}

// showField prints one field of an object: a text as it is, everything else as JSON.
func (a *app) showField(object any) error {
	text, err := encodeJSON(object)
	if err != nil {
		return err
	}
	var here any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&here); err != nil {
		return fmt.Errorf("looking for a field: %w", err)
	}
	for name := range strings.SplitSeq(a.field, ".") {
		if here == nil {
			break
		}
		members, ok := here.(map[string]any)
		if !ok {
			return usage("there is no field %q", a.field)
		}
		next, ok := members[name]
		if !ok {
			if open, err := checkField(a.field, reflect.TypeOf(object)); err == nil && !open {
				next = nil // left out because it is empty
			} else {
				return noField(a.field, slices.Sorted(maps.Keys(members)))
			}
		}
		here = next
	}
	switch value := here.(type) {
	case string:
		_, err = fmt.Fprintln(a.out, value)
	case nil:
		_, err = fmt.Fprintln(a.out)
	default:
		compact, encodeErr := json.Marshal(value)
		if encodeErr != nil {
			return fmt.Errorf("encoding a field: %w", encodeErr)
		}
		_, err = fmt.Fprintln(a.out, string(compact))
	}
	return err
}

// when formats an instant: relative to now for people, RFC 3339 for programs.
func (a *app) when(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	if !a.terminal {
		return at.UTC().Format(time.RFC3339)
	}
	left := at.Sub(a.now())
	if left < 0 {
		return rough(-left) + " ago"
	}
	return "in " + rough(left)
}

// full is when with the instant itself beside the relative time.
func (a *app) full(at time.Time) string {
	if at.IsZero() || !a.terminal {
		return a.when(at)
	}
	return at.UTC().Format("2006-01-02 15:04:05 UTC") + " (" + a.when(at) + ")"
}

// rough cuts a length of time to its two largest units.
func rough(d time.Duration) string {
	switch {
	case d < time.Minute:
		return d.Truncate(time.Second).String()
	case d < time.Hour:
		return types.Duration(d.Truncate(time.Second)).String()
	case d < 48*time.Hour:
		return types.Duration(d.Truncate(time.Minute)).String()
	}
	return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

// pairs formats labels or details: sorted k=v.
func pairs(labels map[string]string) string {
	var out []string
	for key, value := range labels {
		out = append(out, key+"="+value)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}
