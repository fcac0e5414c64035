package webhook

import (
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write contract.schema.json anew")

const schemaFile = "contract.schema.json"

// property is a schema of JSON Schema, as far as it is needed here.
type property struct {
	Type                 string               `json:"type,omitempty"`
	Format               string               `json:"format,omitempty"`
	Description          string               `json:"description,omitempty"`
	Ref                  string               `json:"$ref,omitempty"`
	Items                *property            `json:"items,omitempty"`
	Properties           map[string]*property `json:"properties,omitempty"`
	Required             []string             `json:"required,omitempty"`
	AdditionalProperties *property            `json:"additionalProperties,omitempty"`
}

func schemaOf(t reflect.Type) *property {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return &property{Type: "string", Format: "date-time"}
	case t == reflect.TypeFor[json.RawMessage]():
		return &property{Type: "object"}
	case t.Kind() == reflect.String:
		return &property{Type: "string"}
	case t.Kind() == reflect.Slice:
		return &property{Type: "array", Items: schemaOf(t.Elem())}
	case t.Kind() == reflect.Map:
		return &property{Type: "object", AdditionalProperties: schemaOf(t.Elem())}
	case t.Kind() == reflect.Struct:
		return &property{Ref: "#/$defs/" + t.Name()}
	}
	panic("the contract has a type that the schema does not know: " + t.String())
}

func structSchema(t reflect.Type) *property {
	p := &property{Type: "object", Properties: map[string]*property{}}
	for _, field := range reflect.VisibleFields(t) {
		if field.Anonymous {
			continue
		}
		name, rest, _ := strings.Cut(field.Tag.Get("json"), ",")
		one := schemaOf(field.Type)
		one.Description = field.Tag.Get("doc")
		p.Properties[name] = one
		if rest != "omitempty" {
			p.Required = append(p.Required, name)
		}
	}
	return p
}

// What is published says what is sent.
func TestSchemaIsTheTypes(t *testing.T) {
	defs := map[string]*property{}
	for _, one := range []any{
		CheckRequest{}, CheckReply{}, CreateRequest{}, CreateReply{}, LoginRequest{}, ConfirmRequest{}, ListRequest{}, ListReply{}, LogInRequest{},
		Reply{}, Failure{}, Login{}, Subject{}, ListedLogin{},
	} {
		defs[reflect.TypeOf(one).Name()] = structSchema(reflect.TypeOf(one))
	}
	want, err := json.MarshalIndent(map[string]any{
		"$schema":     "https://json-schema.org/draft/2020-12/schema",
		"title":       "Calls between the broker and a webhook service",
		"description": "CONTRACT.md says which of these each operation takes and answers. More fields may be added: what is unknown is to be ignored.",
		"$defs":       defs,
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.WriteFile(schemaFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("the schema is not that of the types; go test ./providers/webhook -run Schema -update writes it (-types +file):\n%s", diff)
	}
}
