package vault

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"time"

	"broker/api/types"
)

// fields are the members of a body, or the parameters of a query. Unknown ones are left alone, as Vault does.
type fields map[string]json.RawMessage

// parseBody reads a body, which may be empty.
func parseBody(body []byte) (fields, error) {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return nil, nil
	}
	var out fields
	if err := json.Unmarshal(body, &out); err != nil {
		return nil, refuse("the request's body is no JSON object")
	}
	return out, nil
}

// text reads a member that is a text; empty: it is absent or null.
func (f fields) text(name string) (string, error) {
	var out string
	if raw, ok := f[name]; ok && json.Unmarshal(raw, &out) != nil {
		return "", refuse(name + " must be a text")
	}
	return out, nil
}

// duration reads a length of time that is a number of seconds, or a text such as "60" or "1h"; zero: it is absent, null,
// empty or zero, which all mean that the server decides.
func (f fields) duration(name string) (time.Duration, error) {
	raw, ok := f[name]
	if !ok || string(raw) == "null" {
		return 0, nil
	}
	wrong := refuse(name + ` must be a number of seconds, or a duration such as "90s", "30m" or "1h"`)
	var number float64
	if json.Unmarshal(raw, &number) == nil {
		// Some clients have but one kind of numbers: 60 may come as 60.0.
		if number < 0 || number != math.Trunc(number) {
			return 0, wrong
		}
		return time.Duration(min(number, longest.Seconds())) * time.Second, nil
	}
	var words string
	if json.Unmarshal(raw, &words) != nil {
		return 0, wrong
	}
	if words == "" {
		return 0, nil
	}
	out, err := types.ParseDuration(words)
	if err != nil || out < 0 {
		return 0, wrong
	}
	return min(out.Std(), longest), nil
}

// longest is more than anything lives: what is asked for beyond is the same.
const longest = 100 * 365 * 24 * time.Hour

// number reads a whole number that is not negative.
func (f fields) number(name string) (int, error) {
	raw, ok := f[name]
	if !ok || string(raw) == "null" {
		return 0, nil
	}
	var words string
	if json.Unmarshal(raw, &words) != nil {
		words = string(raw)
	}
	out, err := strconv.ParseUint(words, 10, 31)
	if err != nil {
		return 0, refuse(name + " must be a whole number")
	}
	return int(out), nil
}

// given reports whether a member says anything.
func (f fields) given(name string) bool {
	switch string(bytes.TrimSpace(f[name])) {
	case "", "null", `""`, "[]", "{}", "false", "0":
		return false
	}
	return true
}

// quoted writes a parameter of a query as JSON.
func quoted(text string) json.RawMessage {
	out, err := json.Marshal(text)
	if err != nil {
		return json.RawMessage(`""`) // a text has always a form
	}
	return out
}
