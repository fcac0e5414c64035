package providers

import (
	"encoding/json"
	"math"
	"time"
)

// String returns the value of a string or text field, "" when it is not set.
func (s Settings) String(field string) string { return stringValue(s[field]) }

// Integer returns the value of an integer field, 0 when it is not set.
func (s Settings) Integer(field string) int64 { return integerValue(s[field]) }

// Boolean returns the value of a boolean field, false when it is not set.
func (s Settings) Boolean(field string) bool { v, _ := s[field].(bool); return v }

// Duration returns the value of a duration field, 0 when it is not set.
func (s Settings) Duration(field string) time.Duration { return durationValue(s[field]) }

// List returns the value of a list field, nil when it is not set.
func (s Settings) List(field string) []string { return listValue(s[field]) }

// String returns the value of a string or text field, "" when it is not set.
func (o Options) String(field string) string { return stringValue(o[field]) }

// Integer returns the value of an integer field, 0 when it is not set.
func (o Options) Integer(field string) int64 { return integerValue(o[field]) }

// Boolean returns the value of a boolean field, false when it is not set.
func (o Options) Boolean(field string) bool { v, _ := o[field].(bool); return v }

// Duration returns the value of a duration field, 0 when it is not set.
func (o Options) Duration(field string) time.Duration { return durationValue(o[field]) }

// List returns the value of a list field, nil when it is not set.
func (o Options) List(field string) []string { return listValue(o[field]) }

// String returns the value of a string or text field, "" when it is not set.
func (p Parameters) String(field string) string { return stringValue(p[field]) }

// The readers below take what a validated value may have become on its way through JSON or CBOR.

func stringValue(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case Secret:
		return v.Reveal()
	}
	return ""
}

func integerValue(v any) int64 {
	n, _ := asInteger(v)
	return n
}

func durationValue(v any) time.Duration {
	d, _ := asDuration(v)
	return d
}

func listValue(v any) []string {
	switch v := v.(type) {
	case []string:
		return v
	case []any:
		list := make([]string, 0, len(v))
		for _, element := range v {
			list = append(list, stringValue(element))
		}
		return list
	case string:
		return []string{v}
	}
	return nil
}

// asInteger takes whole numbers of every type that decoders make.
func asInteger(v any) (int64, bool) {
	switch v := v.(type) {
	case int:
		return int64(v), true
	case int32:
		return int64(v), true
	case int64:
		return v, true
	case uint32:
		return int64(v), true
	case uint64:
		return int64(v), v <= math.MaxInt64
	case float64:
		// Beyond 2^53 a float no longer says which integer was meant.
		return int64(v), v == math.Trunc(v) && math.Abs(v) <= 1<<53
	case json.Number:
		n, err := v.Int64()
		return n, err == nil
	}
	return 0, false
}
