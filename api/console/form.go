package console

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"broker/api/client"
	"broker/api/types"
)

// errForm is returned for a form whose errors stand at its fields already.
var errForm = errors.New("the form has errors")

// form is what somebody filled in, with what is wrong with it.
type form struct {
	Values  url.Values
	Errors  map[string]string // by the field's name
	Problem *problemView      // what is wrong with no field; nil: nothing
	Key     string            // the idempotency key of what it does
	Status  int               // to answer with

	page *page
}

// readForm takes in what was sent, if anything was. A form that is not whole does nothing.
func (p *page) readForm() error {
	if !p.posted() {
		return nil
	}
	if err := p.r.ParseForm(); err != nil {
		return &types.Problem{Status: http.StatusBadRequest, Code: "malformed_request", Title: "The form cannot be read", Detail: "It is too large, or was cut off. Nothing was done."}
	}
	return nil
}

// form returns what was sent, or a new one with these values; nil: those of the address.
func (p *page) form(values url.Values) *form {
	f := &form{Values: values, Errors: map[string]string{}, Status: http.StatusOK, page: p}
	if f.Values == nil {
		f.Values = p.r.URL.Query()
	}
	if p.posted() {
		f.Values = p.r.PostForm
	}
	if f.Key = f.get("idempotency_key"); f.Key == "" {
		f.Key = rand.Text()
	}
	return f
}

func (f *form) get(name string) string { return f.Values.Get(name) }

// on reports whether a box is ticked.
func (f *form) on(name string) bool { return f.get(name) != "" }

// duration reads a length of time; nil: none was given. What cannot be read becomes an error at the field.
func (f *form) duration(name string) *types.Duration {
	text := strings.TrimSpace(f.get(name))
	if text == "" {
		return nil
	}
	d, err := types.ParseDuration(text)
	if err != nil {
		f.Errors[name] = types.DurationRule
		return nil
	}
	return &d
}

// labels reads lines or commas of key=value.
func (f *form) labels(name string) map[string]string {
	out := map[string]string{}
	for _, one := range strings.FieldsFunc(f.get(name), func(r rune) bool { return r == '\n' || r == ',' || r == '\r' }) {
		one = strings.TrimSpace(one)
		if one == "" {
			continue
		}
		key, value, ok := strings.Cut(one, "=")
		if !ok {
			f.Errors[name] = "key=value, one a line"
			return nil
		}
		out[strings.TrimSpace(key)] = strings.TrimSpace(value)
	}
	return out
}

// names reads names, one a line or between commas, each once, and the one that was picked beside them.
func (f *form) names(name string) []string {
	var list []string
	for _, one := range strings.FieldsFunc(f.get(name)+"\n"+f.get(name+addSuffix), func(r rune) bool { return strings.ContainsRune(" ,\r\n\t", r) }) {
		if !slices.Contains(list, one) {
			list = append(list, one)
		}
	}
	return list
}

// Conditions is how many of these fields are set.
func (f *form) Conditions(names ...string) int {
	n := 0
	for _, name := range names {
		if strings.TrimSpace(f.get(name)) != "" {
			n++
		}
	}
	return n
}

// valid reports whether no field was found wrong so far.
func (f *form) valid() bool {
	if len(f.Errors) > 0 {
		f.Status = http.StatusUnprocessableEntity
	}
	return len(f.Errors) == 0
}

// once makes a call that is repeated do nothing twice: each form has a key from when it was shown.
func (f *form) once() client.Option { return client.WithIdempotencyKey(f.Key) }

// version is of what the form changes, as it was when the form was shown.
func (f *form) version() client.Option {
	n, _ := strconv.ParseUint(f.get("version"), 10, 64)
	return client.IfVersion(n)
}

// refused takes in why a call failed: at the field, or above all. It reports false for what is not about the form: the
// session is over, the thing is not there.
func (f *form) refused(err error) bool {
	if errors.Is(err, errForm) {
		f.Status = http.StatusUnprocessableEntity
		return true
	}
	if err == nil || isUnauthenticated(err) || client.Code(err) == "not_found" && problemOf(err).Field == "" {
		return false
	}
	v := problemOf(err)
	if !f.page.posted() && v.Status >= http.StatusInternalServerError {
		return false // it is not about what was chosen; without a leader the page is made from what there is
	}
	f.Status = v.Status
	if !v.Unknown {
		f.Key = rand.Text() // nothing was done under the one before
	}
	var problem *types.Problem
	if errors.As(err, &problem) && len(problem.Errors) > 0 {
		for _, one := range problem.Errors {
			f.Errors[one.Field] = one.Message
		}
		v.Title, v.Detail = "Some of it is not right", ""
		for _, one := range problem.Errors {
			v.Fields = append(v.Fields, fieldProblem{one.Field, one.Message})
		}
	}
	if v.Changed != nil {
		*v.Changed = f.page.whoChanged(v.version)
	}
	f.Problem = &v
	return true
}

// choice is one of what a field may be.
type choice struct{ Value, Label string }

// field is an input with everything that belongs to it.
type field struct {
	ID, Name, Label, Type   string
	Value, Help, Error      string
	Placeholder, Suffix     string
	Autocomplete, InputMode string
	Required, Focus, Mono   bool
	Checked                 bool
	Presets                 []choice // values to take with a click
	Options                 []choice // of a select
	Rows                    int      // of a text area
	Pick                    string   // what names there are to pick from, as pick.go knows them; empty: none
	Add                     string   // beside a text area: what was picked and not put into it
}

// inputID is the id of a field's input. The page behind a dialog may have a field of the same name.
func (f *form) inputID(name string) string {
	prefix := "f-"
	if f.page != nil && f.page.InDialog() {
		prefix = "d-"
	}
	return prefix + strings.NewReplacer(".", "-", " ", "-").Replace(name)
}

// fieldOf is a field of a form. Options are names and values in turn: type, help, placeholder, suffix, autocomplete,
// required, focus, mono, pick, presets, options, rows, value.
func fieldOf(f *form, name, label string, options ...any) (field, error) {
	out := field{ID: f.inputID(name), Name: name, Label: label, Type: "text", Value: f.get(name), Error: f.Errors[name]}
	set, err := dict(options...)
	if err != nil {
		return out, err
	}
	for key, value := range set {
		text, _ := value.(string)
		yes, _ := value.(bool)
		switch key {
		case "type":
			out.Type = text
		case "help":
			out.Help = text
		case "placeholder":
			out.Placeholder = text
		case "suffix":
			out.Suffix = text
		case "autocomplete":
			out.Autocomplete = text
		case "value":
			out.Value = fmt.Sprint(value)
		case "required":
			out.Required = yes
		case "focus":
			out.Focus = yes
		case "mono":
			out.Mono = yes
		case "pick":
			out.Pick, out.Add = text, f.get(name+addSuffix)
		case "presets":
			out.Presets = value.([]choice)
		case "options":
			out.Options = value.([]choice)
		case "rows":
			out.Rows = value.(int)
		default:
			return out, fmt.Errorf("field %s: there is no option %q", name, key)
		}
	}
	out.Checked = out.Type == "checkbox" && f.on(name)
	if out.Type == "password" {
		out.Value = "" // what was typed in secret is not sent back
	}
	return out, nil
}

// ttlPresets are lengths of time to choose from, up to the most that may be; zero: any.
func ttlPresets(most types.Duration) []choice {
	var list []choice
	for _, one := range []choice{{"15m", "15 min"}, {"1h", "1 h"}, {"12h", "12 h"}, {"24h", "24 h"}, {"720h", "30 d"}, {"2160h", "90 d"}} {
		if d, err := types.ParseDuration(one.Value); err == nil && (most == 0 || d <= most) {
			list = append(list, one)
		}
	}
	return list
}
