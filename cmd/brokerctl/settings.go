package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"broker/api/types"
)

const setHelp = `Values are given with --set, as often as needed:
  --set k=v           a value; repeated for one k, it makes a list where the provider wants one
  --set k=@FILE       the text in a file, without the newline at its end; k=@- reads standard input,
                      and in a terminal asks for a secret value without showing it
  --set k:=JSON       a JSON value; k:=@FILE reads it from a file
A secret value belongs in a file: other users of the machine can see arguments.`

// settingFlags are --set and --unset.
type settingFlags struct {
	set   []string
	unset []string
}

func (f *settingFlags) addTo(cmd *cobra.Command, changing bool) {
	cmd.Flags().StringArrayVar(&f.set, "set", nil, "a value as k=v, k=@FILE, k=@- or k:=JSON; repeatable")
	if changing {
		cmd.Flags().StringArrayVar(&f.unset, "unset", nil, "remove a value; repeatable")
	}
}

func (f *settingFlags) given() bool { return len(f.set)+len(f.unset) > 0 }

// names returns what is set and unset.
func (f *settingFlags) names() []string {
	names := slices.Clone(f.unset)
	for _, text := range f.set {
		name, _, _ := strings.Cut(text, "=")
		names = append(names, strings.TrimSuffix(name, ":"))
	}
	return names
}

// read turns the flags into values of the types that the provider's fields have.
func (f *settingFlags) read(a *app, provider string, fields []types.Field) (map[string]any, error) {
	values := map[string]any{}
	for _, text := range f.set {
		if err := a.readSetting(values, provider, fields, text); err != nil {
			return nil, err
		}
	}
	for _, name := range f.unset {
		field, err := fieldOf(provider, fields, name)
		if err != nil {
			return nil, err
		}
		if _, both := values[field.Name]; both {
			return nil, usage("%s is both set and unset", name)
		}
		values[field.Name] = nil
	}
	return values, nil
}

func (a *app) readSetting(values map[string]any, provider string, fields []types.Field, text string) error {
	name, content, ok := strings.Cut(text, "=")
	if !ok || name == "" || name == ":" {
		// The text may be a secret that was meant to be quoted, so it is not repeated.
		return usage("a --set is not of the form k=v, k=@FILE or k:=JSON")
	}
	name, isJSON := strings.CutSuffix(name, ":")
	field, err := fieldOf(provider, fields, name)
	if err != nil {
		return err
	}
	path, fromFile := strings.CutPrefix(content, "@")
	switch {
	case path == "-" && fromFile && field.Secret && a.secretly != nil:
		if content, err = a.secretly(name + ": "); err != nil {
			return fmt.Errorf("reading %s: %w", name, err)
		}
		if content == "" {
			return usage("nothing was typed for %s", name)
		}
	case fromFile:
		if content, err = a.readText(path); err != nil {
			return fmt.Errorf("reading %s: %w", name, err)
		}
		if content == "" {
			return usage("there is nothing in %s for %s: an empty value is %s=", path, name, name)
		}
	case field.Secret && content != "":
		a.warn(fmt.Sprintf("%s is secret, and other users of this machine can see arguments: use %s=@FILE or %s=@- instead", name, name, name))
	}
	if isJSON {
		var value any
		if err := json.Unmarshal([]byte(content), &value); err != nil {
			return usage("the value of %s is not JSON", name)
		}
		values[name] = value
		return nil
	}
	return setting(values, field, content)
}

// setting stores a text as the field's type wants it.
func setting(values map[string]any, field types.Field, text string) error {
	_, before := values[field.Name]
	if field.Type == types.FieldList {
		list, _ := values[field.Name].([]any)
		values[field.Name] = append(list, text)
		return nil
	}
	if before {
		return usage("%s is given twice, and it is no list", field.Name)
	}
	switch field.Type {
	case types.FieldInteger:
		number, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return usage("%s must be a whole number", field.Name)
		}
		values[field.Name] = number
	case types.FieldBoolean:
		truth, err := strconv.ParseBool(text)
		if err != nil {
			return usage("%s must be true or false", field.Name)
		}
		values[field.Name] = truth
	case types.FieldDuration:
		if _, err := types.ParseDuration(text); err != nil {
			return usage("%s %w", field.Name, err)
		}
		values[field.Name] = text
	default:
		values[field.Name] = text
	}
	return nil
}

// readText reads a file, or standard input for "-", without the newline that editors add.
func (a *app) readText(path string) (string, error) {
	var (
		content []byte
		err     error
	)
	if path == "-" {
		content, err = io.ReadAll(a.in)
	} else {
		content, err = os.ReadFile(path)
	}
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r"), nil
}

func fieldOf(provider string, fields []types.Field, name string) (types.Field, error) {
	var names []string
	for _, one := range fields {
		if one.Name == name {
			return one, nil
		}
		names = append(names, one.Name)
	}
	err := usage("provider %s has no field %q here", provider, name)
	err.hint = "there is " + strings.Join(names, ", ")
	if likely := nearest(name, names); likely != "" {
		err.hint = fmt.Sprintf("did you mean %q?", likely)
	}
	return types.Field{}, err
}

// parameters reads k=v texts into values that the broker brings to the types it wants; one given twice is a list.
func (a *app) parameters(texts []string) (map[string]any, error) {
	var values map[string]any
	for _, text := range texts {
		name, content, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, usage("a --param is not of the form k=v or k=@FILE")
		}
		if path, fromFile := strings.CutPrefix(content, "@"); fromFile {
			var err error
			if content, err = a.readText(path); err != nil {
				return nil, fmt.Errorf("reading %s: %w", name, err)
			}
		}
		if values == nil {
			values = map[string]any{}
		}
		switch before := values[name].(type) {
		case nil:
			values[name] = content
		case string:
			values[name] = []any{before, content}
		case []any:
			values[name] = append(before, content)
		}
	}
	return values, nil
}

// labels reads k=v texts.
func labels(texts []string) (map[string]string, error) {
	out := map[string]string{}
	for _, text := range texts {
		key, value, ok := strings.Cut(text, "=")
		if !ok || key == "" {
			return nil, usage("label %q is not of the form k=v", text)
		}
		out[key] = value
	}
	return out, nil
}

// ttl reads a length of time of a flag before anything is asked of the broker.
func ttl(flag, text string) (*types.Duration, error) {
	if text == "" {
		return nil, nil
	}
	d, err := types.ParseDuration(text)
	if err != nil {
		return nil, usage("--%s %w", flag, err)
	}
	if d <= 0 {
		return nil, usage("--%s must be longer than zero", flag)
	}
	if d.Std()%time.Second != 0 {
		// The broker takes whole seconds; cutting the rest off unseen would end a lease early.
		return nil, usage("--%s must be in whole seconds", flag)
	}
	return &d, nil
}
