package providers

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// coerce brings a value from outside to the Go type of the field, or says what would be right. The
// message never holds the value of a secret field.
func (f Field) coerce(value any) (any, string) {
	if s, ok := value.(Secret); ok {
		value = s.Reveal()
	}
	switch f.Type {
	case TypeString, TypeText:
		return f.coerceString(value)
	case TypeInteger:
		return f.coerceInteger(value)
	case TypeBoolean:
		return f.coerceBoolean(value)
	case TypeDuration:
		d, ok := asDuration(value)
		if !ok || d < 0 {
			return nil, "want a duration such as 30s, 1h30m or 7d, or seconds as a number" + f.got(value)
		}
		return d.String(), ""
	case TypeList:
		return f.coerceList(value)
	}
	return nil, fmt.Sprintf("has the unknown type %q", f.Type)
}

func (f Field) coerceString(value any) (any, string) {
	s, ok := value.(string)
	if !ok {
		return nil, "want a string" + f.got(value)
	}
	if strings.ContainsRune(s, 0) {
		return nil, "holds a NUL character"
	}
	if f.Type == TypeString {
		// Files and pipes end their one line with a line break that is no part of the value.
		s = strings.TrimSuffix(strings.TrimSuffix(s, "\n"), "\r")
		if strings.ContainsAny(s, "\r\n") {
			return nil, "want one line"
		}
	}
	if len(f.Enum) > 0 && s != "" {
		for _, allowed := range f.Enum {
			if s == allowed {
				return s, ""
			}
		}
		return nil, "want one of " + strings.Join(f.Enum, ", ") + f.got(value)
	}
	return s, ""
}

func (f Field) coerceInteger(value any) (any, string) {
	n, ok := asInteger(value)
	if s, isString := value.(string); isString {
		parsed, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
		n, ok = parsed, err == nil
	}
	if !ok {
		return nil, "want a whole number" + f.got(value)
	}
	if f.Min != nil && n < *f.Min {
		return nil, fmt.Sprintf("want at least %d", *f.Min) + f.got(value)
	}
	if f.Max != nil && n > *f.Max {
		return nil, fmt.Sprintf("want at most %d", *f.Max) + f.got(value)
	}
	return n, ""
}

func (f Field) coerceBoolean(value any) (any, string) {
	switch v := value.(type) {
	case bool:
		return v, ""
	case string:
		switch strings.ToLower(strings.TrimSpace(v)) {
		case "true", "yes", "on", "1":
			return true, ""
		case "false", "no", "off", "0":
			return false, ""
		}
	}
	return nil, "want true or false" + f.got(value)
}

func (f Field) coerceList(value any) (any, string) {
	var list []string
	switch v := value.(type) {
	case string:
		if v != "" {
			list = []string{v}
		}
	case []string:
		list = append(list, v...)
	case []any:
		for i, element := range v {
			s, ok := element.(string)
			if !ok {
				return nil, fmt.Sprintf("want a list of strings; element %d is none", i+1)
			}
			list = append(list, s)
		}
	default:
		return nil, "want a list of strings" + f.got(value)
	}
	for i, s := range list {
		if strings.TrimSpace(s) == "" {
			return nil, fmt.Sprintf("element %d is empty", i+1)
		}
		if strings.ContainsRune(s, 0) {
			return nil, fmt.Sprintf("element %d holds a NUL character", i+1)
		}
	}
	if list == nil {
		list = []string{}
	}
	return list, ""
}

// asDuration takes "1h30m", "7d", "90" and numbers as seconds: what the API takes as a length of time everywhere.
func asDuration(value any) (time.Duration, bool) {
	switch v := value.(type) {
	case time.Duration:
		return v, true
	case string:
		return textDuration(strings.TrimSpace(v))
	}
	n, ok := asInteger(value)
	if !ok {
		return 0, false
	}
	return seconds(n)
}

func textDuration(text string) (time.Duration, bool) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return seconds(n)
	}
	number, rest, ok := strings.Cut(text, "d")
	if !ok {
		d, err := time.ParseDuration(text)
		return d, err == nil
	}
	days, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return 0, false
	}
	var clock time.Duration
	if rest != "" {
		clock, err = time.ParseDuration(rest)
	}
	sum := time.Duration(days)*24*time.Hour + clock
	return sum, err == nil && !strings.ContainsAny(rest, "+-") && sum >= clock
}

func seconds(n int64) (time.Duration, bool) {
	const most = int64(math.MaxInt64 / time.Second)
	return time.Duration(n) * time.Second, n >= -most && n <= most
}

// got shows what was given, for fields that may be shown.
func (f Field) got(value any) string {
	if f.Secret {
		return ""
	}
	switch v := value.(type) {
	case string:
		const most = 40
		if len(v) > most {
			v = strings.ToValidUTF8(v[:most], "") + "…"
		}
		return fmt.Sprintf(", got %q", v)
	case bool, int, int64, uint64, float64, time.Duration:
		return fmt.Sprintf(", got %v", v)
	}
	return fmt.Sprintf(", got a value of another kind (%s)", kindOf(value))
}

// kindOf names a decoded value as people who write JSON would.
func kindOf(value any) string {
	switch value.(type) {
	case []any, []string:
		return "list"
	case map[string]any, map[any]any:
		return "object"
	}
	return "unknown"
}
