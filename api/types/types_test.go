package types_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"broker/api/types"
)

func TestDuration(t *testing.T) {
	for _, row := range []struct {
		json string
		want time.Duration
		ok   bool
	}{
		{`"1h30m"`, 90 * time.Minute, true},
		{`"90s"`, 90 * time.Second, true},
		{`"7d"`, 7 * 24 * time.Hour, true},
		{`"1d12h"`, 36 * time.Hour, true},
		{`"3600"`, time.Hour, true},
		{`3600`, time.Hour, true},
		{`0`, 0, true},
		{`"-5m"`, -5 * time.Minute, true},
		{`-5`, -5 * time.Second, true},
		{`"500ms"`, 500 * time.Millisecond, true},
		{`""`, 0, false},
		{`"-"`, 0, false},
		{`"--5m"`, 0, false},
		{`"d"`, 0, false},
		{`"soon"`, 0, false},
		{`"1x"`, 0, false},
		{`1.5`, 0, false},
		{`true`, 0, false},
		{`{}`, 0, false},
		{`99999999999999999999`, 0, false},
		{`9999999999999`, 0, false},
		{`"65535d99999999h"`, 0, false},
	} {
		var got types.Duration
		err := json.Unmarshal([]byte(row.json), &got)
		if (err == nil) != row.ok || got.Std() != row.want && row.ok {
			t.Errorf("%s is read as %v, %v; want %v, %v", row.json, got, err, row.want, row.ok)
		}
		if err != nil && !errors.Is(err, types.ErrDuration) {
			t.Errorf("%s: the error is %v", row.json, err)
		}
	}
	for d, want := range map[time.Duration]string{time.Hour: "1h", 90 * time.Minute: "1h30m", 45 * time.Second: "45s", 10 * time.Minute: "10m", 0: "0s"} {
		if got := types.Duration(d).String(); got != want {
			t.Errorf("%v is shown as %s, want %s", d, got, want)
		}
	}
	if out, err := json.Marshal(types.Duration(90 * time.Minute)); err != nil || string(out) != "5400" {
		t.Errorf("written as %s, %v", out, err)
	}
}

func FuzzParseDuration(f *testing.F) {
	for _, seed := range []string{"1h", "7d", "-1d2h", "1d", "d", "--1s"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := types.ParseDuration(text)
		if err != nil {
			return
		}
		again, err := types.ParseDuration(d.String())
		if err != nil || again != d {
			t.Errorf("%q is %v, which is read as %v, %v", text, d, again, err)
		}
	})
}

func TestProblemKeepsItsExtraMembers(t *testing.T) {
	in := &types.Problem{
		Type: "urn:x", Title: "T", Status: 422, Detail: "D", Code: "c",
		Errors: []types.FieldProblem{{Field: "ttl", Message: "too long"}},
		Extra:  map[string]any{"renewable_ttl": 1800.0, "code": "evil"},
	}
	data, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out types.Problem
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	delete(in.Extra, "code") // which stands for a member of its own
	if diff := cmp.Diff(*in, out); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if !strings.Contains(out.Error(), "too long") || !strings.Contains(out.Error(), "ttl") {
		t.Errorf("the error reads %q", out.Error())
	}
}

func TestValuesKeepOrderAndSecrecy(t *testing.T) {
	in := types.Values{{Key: "Z", Value: "1"}, {Key: "A", Value: `<"&>`}}
	data, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out types.Values
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	if len(out) != 2 || out[0] != in[0] || out[1] != in[1] {
		t.Error("values changed on their way through JSON")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if got := fmt.Sprintf(verb, struct{ V types.Values }{in}); strings.Contains(got, "<") {
			t.Errorf("%s shows values: %s", verb, got)
		}
	}
}
