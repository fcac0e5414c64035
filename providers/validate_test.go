package providers_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"

	"broker/api/types"
	"broker/providers"
)

func bound(n int64) *int64 { return &n }

var description = providers.Description{
	Name: "example",
	Connection: []providers.Field{
		{Name: "host", Type: providers.TypeString, Required: true, Locates: true},
		{Name: "port", Type: providers.TypeInteger, Default: int64(5432), Min: bound(1), Max: bound(65535), Locates: true},
		{Name: "password", Type: providers.TypeString, Secret: true, Required: true},
		{Name: "tls", Type: providers.TypeBoolean, Default: true},
		{Name: "mode", Type: providers.TypeString, Enum: []string{"fast", "safe"}},
		{Name: "timeout", Type: providers.TypeDuration, Default: "10s"},
		{Name: "certificate", Type: providers.TypeText},
		{Name: "groups", Type: providers.TypeList},
	},
	Outputs: []providers.Output{{Name: "username"}, {Name: "password", Secret: true}},
}

func TestValidateConnection(t *testing.T) {
	base := func(change map[string]any) map[string]any {
		values := map[string]any{"host": "db", "password": "canary"}
		for name, value := range change {
			values[name] = value
		}
		return values
	}
	tests := []struct {
		name  string
		given map[string]any
		field string // that is changed or wrong
		want  any    // its value
		wrong string // part of the message, when it is wrong
	}{
		{"default integer", base(nil), "port", int64(5432), ""},
		{"default duration", base(nil), "timeout", "10s", ""},
		{"default boolean", base(nil), "tls", true, ""},
		{"nil is not given", base(map[string]any{"port": nil}), "port", int64(5432), ""},
		{"string to integer", base(map[string]any{"port": "6543"}), "port", int64(6543), ""},
		{"JSON number", base(map[string]any{"port": float64(6543)}), "port", int64(6543), ""},
		{"json.Number", base(map[string]any{"port": json.Number("6543")}), "port", int64(6543), ""},
		{"fraction", base(map[string]any{"port": 1.5}), "port", nil, "whole number, got 1.5"},
		{"not a number", base(map[string]any{"port": "http"}), "port", nil, `whole number, got "http"`},
		{"too small", base(map[string]any{"port": 0}), "port", nil, "at least 1"},
		{"too large", base(map[string]any{"port": "70000"}), "port", nil, "at most 65535"},
		{"string to boolean", base(map[string]any{"tls": "false"}), "tls", false, ""},
		{"not a boolean", base(map[string]any{"tls": "maybe"}), "tls", nil, "true or false"},
		{"enum", base(map[string]any{"mode": "safe"}), "mode", "safe", ""},
		{"not in enum", base(map[string]any{"mode": "wild"}), "mode", nil, "one of fast, safe"},
		{"duration", base(map[string]any{"timeout": "1h30m"}), "timeout", "1h30m0s", ""},
		{"seconds", base(map[string]any{"timeout": 90}), "timeout", "1m30s", ""},
		{"seconds as string", base(map[string]any{"timeout": "90"}), "timeout", "1m30s", ""},
		{"negative duration", base(map[string]any{"timeout": "-1s"}), "timeout", nil, "want a duration"},
		{"huge duration", base(map[string]any{"timeout": int64(1) << 60}), "timeout", nil, "want a duration"},
		{"days", base(map[string]any{"timeout": "7d"}), "timeout", "168h0m0s", ""},
		{"one line of several", base(map[string]any{"host": "a\nb"}), "host", nil, "one line"},
		{"line break at the end", base(map[string]any{"password": "canary\n"}), "password", "canary", ""},
		{"text", base(map[string]any{"certificate": "a\nb\n"}), "certificate", "a\nb\n", ""},
		{"one element", base(map[string]any{"groups": "a,b"}), "groups", []string{"a,b"}, ""},
		{"list", base(map[string]any{"groups": []any{"a", "b"}}), "groups", []string{"a", "b"}, ""},
		{"empty list", base(map[string]any{"groups": ""}), "groups", []string{}, ""},
		{"empty element", base(map[string]any{"groups": []any{"a", " "}}), "groups", nil, "element 2 is empty"},
		{"list of numbers", base(map[string]any{"groups": []any{1.0}}), "groups", nil, "list of strings"},
		{"required is missing", map[string]any{"password": "canary"}, "host", nil, "is required"},
		{"required is empty", base(map[string]any{"host": ""}), "host", nil, "is required"},
		{"typing error", base(map[string]any{"pasword": "canary"}), "pasword", nil, "did you mean password?"},
		{"unknown", base(map[string]any{"colour": "canary"}), "colour", nil, "known are certificate, groups, host, mode, password, port, timeout, tls"},
		{"secret of a wrong type", base(map[string]any{"password": []any{"canary"}}), "password", nil, "want a string"},
		{"object", base(map[string]any{"host": map[string]any{}}), "host", nil, "want a string"},
	}
	for _, test := range tests {
		settings, problems := description.ValidateConnection(test.given)
		if test.wrong == "" {
			if len(problems) > 0 {
				t.Errorf("%s: %v", test.name, problems)
			}
			if diff := cmp.Diff(test.want, settings[test.field]); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.name, diff)
			}
			continue
		}
		if len(problems) != 1 || problems[0].Field != test.field || !strings.Contains(problems[0].Message, test.wrong) {
			t.Errorf("%s: got %v, want one about %s with %q", test.name, problems, test.field, test.wrong)
		}
		for _, p := range problems {
			if strings.Contains(p.Error(), "canary") {
				t.Errorf("%s: the message holds a secret: %v", test.name, p)
			}
		}
	}
}

// Settings and options are stored and come back from JSON or CBOR before they are used or checked
// again.
func TestValidatedValuesSurviveEncoding(t *testing.T) {
	settings, problems := description.ValidateConnection(map[string]any{
		"host": "db", "password": "p", "timeout": 90, "groups": "a", "mode": "safe", "certificate": "x\n",
	})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	codecs := map[string]func() (map[string]any, error){
		"json": func() (decoded map[string]any, err error) {
			content, err := json.Marshal(settings)
			if err != nil {
				return nil, err
			}
			return decoded, json.Unmarshal(content, &decoded)
		},
		"cbor": func() (decoded map[string]any, err error) {
			content, err := cbor.Marshal(settings)
			if err != nil {
				return nil, err
			}
			return decoded, cbor.Unmarshal(content, &decoded)
		},
	}
	for name, roundTrip := range codecs {
		decoded, err := roundTrip()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		raw := providers.Settings(decoded)
		if raw.Integer("port") != 5432 || raw.Duration("timeout") != 90*time.Second || !raw.Boolean("tls") || len(raw.List("groups")) != 1 || raw.String("host") != "db" {
			t.Errorf("%s: values read differently without validating again: %v", name, raw)
		}
		again, problems := description.ValidateConnection(decoded)
		if len(problems) > 0 {
			t.Errorf("%s: %v", name, problems)
		}
		if diff := cmp.Diff(settings, again); diff != "" {
			t.Errorf("%s (-first +again):\n%s", name, diff)
		}
	}
}

func TestSplitSecrets(t *testing.T) {
	settings := providers.Settings{"host": "db", "port": int64(1), "password": "p", "unheard_of": "x"}
	public, secret := description.SplitSecrets(settings)
	if diff := cmp.Diff(providers.Settings{"host": "db", "port": int64(1)}, public); diff != "" {
		t.Errorf("public (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(providers.Settings{"password": "p", "unheard_of": "x"}, secret); diff != "" {
		t.Errorf("secret (-want +got):\n%s", diff)
	}
	moved := providers.Settings{"host": "db2", "port": int64(1)}
	if description.SameLocation(settings, moved) || !description.SameLocation(settings, providers.Settings{"host": "db", "port": int64(1)}) {
		t.Error("location is not told by the fields that locate")
	}
}

func TestRegistry(t *testing.T) {
	a, b := named("a"), named("b")
	registry, err := providers.NewRegistry(b, a)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "b"}, registry.Names()); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if got := registry.Descriptions(); len(got) != 2 || got[0].Name != "a" {
		t.Errorf("descriptions: %v", got)
	}
	if _, ok := registry.Get("c"); ok {
		t.Error("got a provider that was not registered")
	}
	if _, err := providers.NewRegistry(a, named("a")); err == nil {
		t.Error("two providers of one name were registered")
	}
	if _, err := providers.NewRegistry(named("")); err == nil {
		t.Error("a provider without a name was registered")
	}
}

// named is a provider that only has a name.
type named string

func (n named) Describe() providers.Description { return providers.Description{Name: string(n)} }
func (named) Open(providers.Settings, providers.Env) (providers.Backend, error) {
	return nil, nil
}
func (named) ValidateOptions(providers.Options) []providers.FieldError { return nil }

// Parameters are kept with the lease, and whoever may ask for one sends them.
func TestParametersAreBounded(t *testing.T) {
	kind := providers.Description{Parameters: []providers.Field{{Name: "public_key", Type: providers.TypeText}}}
	for length, wrong := range map[int]int{16 << 10: 0, 16<<10 + 1: 1} {
		if _, problems := kind.ValidateParameters(map[string]any{"public_key": strings.Repeat("k", length)}); len(problems) != wrong {
			t.Errorf("%d bytes: %v", length, problems)
		}
	}
}

// A length of time means the same wherever the API takes one.
func TestDurationsAreThoseOfTheAPI(t *testing.T) {
	for _, text := range []string{"7d", "1d12h", "1d0s", " 90 ", "90s", "1d-1h", "1d+1h", "1dd", "d", "1d90", "1.5d", "70000d", "65535d2000000h", "", "soon", "1h30m"} {
		want, err := types.ParseDuration(text)
		settings, wrong := description.ValidateConnection(map[string]any{"host": "db", "password": "canary", "timeout": text})
		if (err == nil) != (len(wrong) == 0) || err == nil && settings.Duration("timeout") != want.Std() {
			t.Errorf("%q is %s and %v here, %s and %v there", text, settings.Duration("timeout"), wrong, want, err)
		}
	}
}
