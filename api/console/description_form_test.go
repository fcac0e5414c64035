package console

import (
	"encoding/json"
	"maps"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"broker/api/types"
)

// A form that is sent as it was shown changes nothing, whatever a field's type; secrets are not in it at all.
func TestDescribedFormsChangeOnlyWhatIsTyped(t *testing.T) {
	fields := []types.Field{
		{Name: "host", Type: types.FieldString, Required: true, Locates: true},
		{Name: "port", Type: types.FieldInteger, Default: float64(5432)},
		{Name: "password", Type: types.FieldString, Secret: true},
		{Name: "private_key", Type: types.FieldText, Secret: true},
		{Name: "note", Type: types.FieldText},
		{Name: "wait", Type: types.FieldBoolean, Default: true},
		{Name: "super", Type: types.FieldBoolean, Default: false, Statements: true},
		{Name: "timeout", Type: types.FieldDuration, Default: "5s"},
		{Name: "grants", Type: types.FieldList, Statements: true},
		{Name: "mode", Type: types.FieldString, Enum: []string{"verify", "off"}, Default: "verify"},
	}
	var stored map[string]any
	if err := json.Unmarshal([]byte(`{"host":"db1","port":1000000,"note":"a\nb\n","wait":false,"timeout":"1h30m0s","grants":["GRANT a","DO $$\n  x\n$$"],"mode":"off"}`), &stored); err != nil {
		t.Fatal(err)
	}
	send := func(change url.Values) (*form, map[string]any) {
		f := &form{Values: url.Values{}, Errors: map[string]string{}}
		describeValues(f.Values, "settings.", fields, stored)
		for name := range f.Values {
			f.Values.Set(name, strings.ReplaceAll(f.get(name), "\n", "\r\n")) // as browsers do
		}
		maps.Copy(f.Values, change)
		return f, f.describedValues("settings.", fields, stored)
	}
	if _, got := send(nil); len(got) != 0 {
		t.Errorf("nothing was typed, and it changes %v", got)
	}
	_, got := send(url.Values{
		"settings.port": {" 5433 "}, "settings.password": {" s "}, "settings.wait": {"1"}, "settings.timeout": {""}, "settings.mode": {""},
		"settings.grants": {"GRANT b\r\n \r\nDO $$\r\n   x\r\n $$\r\n"},
	})
	want := map[string]any{"port": int64(5433), "password": " s ", "wait": true, "timeout": nil, "mode": nil, "grants": []string{"GRANT b", "DO $$\n  x\n$$"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what was typed (-want +got):\n%s", diff)
	}
	f, _ := send(url.Values{"settings.port": {"many"}, "settings.timeout": {"soon"}})
	if f.Errors["settings.port"] == "" || f.Errors["settings.timeout"] == "" {
		t.Errorf("the errors are %v", f.Errors)
	}

	f.Values.Set("settings.password", "typed")
	f.Values.Set("settings.private_key", "typed")
	shown := f.describe("settings.", fields, "password")
	for _, one := range append(shown.Main, shown.More...) {
		if one.Value == "typed" {
			t.Errorf("%s shows what is secret", one.Name)
		}
	}

	fresh := &form{Values: url.Values{}, Errors: map[string]string{}}
	describeValues(fresh.Values, "options.", fields, nil)
	if got := fresh.describedValues("options.", fields, nil); len(got) != 0 {
		t.Errorf("of a new thing nothing was typed, and it says %v", got)
	}
}
