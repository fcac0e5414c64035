package declare

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"broker/api/types"
)

// Position is a place in a file; lines and columns count from 1.
type Position struct {
	File         string
	Line, Column int
}

// String is FILE:LINE:COLUMN, which editors open.
func (p Position) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }

// Problem is something wrong in a file.
type Problem struct {
	At   Position
	Text string
}

// Error is the place and what is wrong there.
func (p Problem) Error() string { return p.At.String() + ": " + p.Text }

// Sourced is a value from a variable or a file.
type Sourced struct {
	Origin string // "$NAME" or the file's path
	value  string
	absent bool // nobody has it here; it is not compared then
}

// String hides the value.
func (Sourced) String() string { return "[redacted]" }

// GoString hides the value.
func (Sourced) GoString() string { return "[redacted]" }

// MarshalText hides the value.
func (Sourced) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// Reveal returns the value, to be sent to the broker.
func (s Sourced) Reveal() string { return s.value }

// Object is one thing that is wanted, or that is there. Of what is wanted Fields has what was given, of what is there all.
type Object struct {
	Kind   string
	Name   string // as people call it
	Fields map[string]any

	// Of what is wanted.
	At      Position
	Secrets map[string]Sourced // settings that are secret, by name
	Sourced map[string]Sourced // other fields whose values come from elsewhere, by path
	where   map[string]Position

	// Of what is there.
	ID         string // of role bindings and locks
	Version    uint64
	Settled    bool // a connection whose root credential the broker has exchanged: it alone knows it
	BeingEnded bool // it is being deleted

	SecretFields []string // of a connection: those that are set
	Provider     string   // of a secret: its connection's, which one may not be allowed to read
}

// Where returns the place of a field such as settings.host, or of the nearest thing around it.
func (o Object) Where(path string) Position {
	for path != "" {
		if at, ok := o.where[path]; ok {
			return at
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			break
		}
		path = path[:i]
	}
	return o.At
}

// key tells objects apart.
func (o Object) key() string {
	switch o.Kind {
	case User, Service:
		return "account\x00" + o.Name
	case Lock:
		return Lock + "\x00" + o.Name + "\x00" + o.text("reason") // locks of one scope stand beside each other
	}
	return o.Kind + "\x00" + o.Name
}

// text returns a field that is a text.
func (o Object) text(field string) string {
	s, _ := o.Fields[field].(string)
	return s
}

// Texts returns a field that is a list of texts.
func (o Object) Texts(field string) []string { return TextsOf(o.Fields[field]) }

// TextsOf returns the texts of a value that is a list.
func TextsOf(value any) []string {
	list, _ := value.([]any)
	var out []string
	for _, one := range list {
		if s, ok := one.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

func (o Object) group(field string) map[string]any {
	m, _ := o.Fields[field].(map[string]any)
	return m
}

// nameOf is how people call an object: its name, or what it does where it has none.
func nameOf(kind string, fields map[string]any) string {
	text := func(name string) string { s, _ := fields[name].(string); return s }
	switch kind {
	case Secret:
		return text("environment") + "/" + text("name")
	case RoleBinding:
		whom := "account " + text("account")
		if text("group") != "" {
			whom = "group " + text("group")
		}
		return text("role") + " for " + whom + " in " + text("scope")
	case Lock:
		scope, _ := fields["scope"].(map[string]any)
		var parts []string
		for _, name := range scopeFields {
			if s, _ := scope[name].(string); s != "" {
				parts = append(parts, name+" "+s)
			}
		}
		return strings.Join(parts, ", ")
	}
	return text("name")
}

// There makes an object of what the broker answered. The answer is of the type that the API has for it.
func There(kind string, answer any) (Object, error) {
	k, _ := kindOf(kind)
	data, err := json.Marshal(answer)
	if err != nil {
		return Object{}, fmt.Errorf("reading what is there: %w", err)
	}
	var all map[string]any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&all); err != nil {
		return Object{}, fmt.Errorf("reading what is there: %w", err)
	}
	o := Object{Kind: kind, Fields: map[string]any{}}
	for _, f := range k.Fields {
		value, ok := all[f.Name]
		if !ok {
			continue
		}
		value = plain(value)
		if text, isText := value.(string); f.Type == Instant && isText {
			if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
				value = instantText(at)
			}
		}
		o.Fields[f.Name] = value
	}
	o.Name = nameOf(kind, o.Fields)
	o.ID, _ = all["id"].(string)
	if v, ok := plain(all["version"]).(int64); ok {
		o.Version = uint64(v)
	}
	_, o.BeingEnded = all["being_deleted_by"].(string)
	if c, ok := answer.(types.Connection); ok {
		o.Settled = c.Rotation != nil && c.Rotation.RotatedAt != nil
		o.SecretFields = c.SecretFields
	}
	if s, ok := answer.(types.Secret); ok {
		o.Provider = s.Provider
	}
	return o, nil
}

func instantText(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.999Z") }

// plain brings decoded JSON to the types that YAML is read to.
func plain(value any) any {
	switch v := value.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = plain(v[name])
		}
	}
	return value
}

// Absent reports whether nobody has the value here.
func (s Sourced) Absent() bool { return s.absent }
