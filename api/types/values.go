package types

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
)

// Value is one key of the leased values.
type Value struct {
	Key   string
	Value string
}

// Values are leased values in the order of the secret's outputs. They travel as a JSON object and
// print as "[redacted]" everywhere else.
type Values []Value

// Get returns the value of a key and whether there is one.
func (v Values) Get(key string) (string, bool) {
	for _, one := range v {
		if one.Key == key {
			return one.Value, true
		}
	}
	return "", false
}

// Keys returns the keys in order.
func (v Values) Keys() []string {
	keys := make([]string, len(v))
	for i, one := range v {
		keys[i] = one.Key
	}
	return keys
}

// Format writes "[redacted]" for every verb.
func (v Values) Format(f fmt.State, _ rune) { fmt.Fprint(f, "[redacted]") }

// LogValue logs "[redacted]".
func (v Values) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalJSON writes an object whose members keep their order.
func (v Values) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	out.WriteByte('{')
	for i, one := range v {
		if i > 0 {
			out.WriteByte(',')
		}
		if err := encoder.Encode(one.Key); err != nil {
			return nil, fmt.Errorf("encoding a key: %w", err)
		}
		out.WriteByte(':')
		if err := encoder.Encode(one.Value); err != nil {
			return nil, fmt.Errorf("encoding the value of %q: %w", one.Key, err)
		}
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// UnmarshalJSON reads an object and keeps the order of its members.
func (v *Values) UnmarshalJSON(data []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	token, err := decoder.Token()
	if err != nil {
		return fmt.Errorf("reading values: %w", err)
	}
	*v = Values{}
	if token == nil {
		return nil
	}
	if token != json.Delim('{') {
		return fmt.Errorf("reading values: not an object")
	}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return fmt.Errorf("reading values: %w", err)
		}
		var value string
		if err := decoder.Decode(&value); err != nil {
			return fmt.Errorf("reading the value of %q: %w", key, err)
		}
		*v = append(*v, Value{Key: key.(string), Value: value})
	}
	return nil
}
