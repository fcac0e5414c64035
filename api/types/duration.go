package types

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// DurationRule says in words what [ParseDuration] accepts; error messages quote it.
const DurationRule = `must be a duration such as "90s", "1h30m" or "7d", or a whole number of seconds`

// ErrDuration is returned when a text or JSON value is not a duration.
var ErrDuration = errors.New(DurationRule)

// Duration is a length of time. It is read as "1h30m" (units d, h, m, s, ms) or as a whole number
// of seconds, and written as a whole number of seconds, rounded towards zero.
type Duration time.Duration

// ParseDuration reads a duration as people write it: "1h30m", "7d" or "5400". Its error is
// [ErrDuration].
func ParseDuration(text string) (Duration, error) {
	text = strings.TrimSpace(text)
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
		return seconds64(seconds)
	}
	rest, negative := strings.CutPrefix(text, "-")
	var days time.Duration
	if number, after, ok := strings.Cut(rest, "d"); ok {
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			return 0, ErrDuration
		}
		days, rest = time.Duration(n)*24*time.Hour, after
	}
	var clock time.Duration
	if rest != "" || days == 0 {
		var err error
		// A second sign would turn the first around.
		if clock, err = time.ParseDuration(rest); err != nil || strings.ContainsAny(rest, "+-") {
			return 0, ErrDuration
		}
	}
	if clock > math.MaxInt64-days {
		return 0, ErrDuration
	}
	sum := days + clock
	if negative {
		sum = -sum
	}
	return Duration(sum), nil
}

func seconds64(seconds int64) (Duration, error) {
	if seconds > math.MaxInt64/int64(time.Second) || seconds < math.MinInt64/int64(time.Second) {
		return 0, ErrDuration
	}
	return Duration(time.Duration(seconds) * time.Second), nil
}

// Std returns the duration as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// Seconds returns the whole seconds of the duration.
func (d Duration) Seconds() int64 { return int64(time.Duration(d) / time.Second) }

// String formats the duration for people: "1h30m", "24h", "45s".
func (d Duration) String() string {
	text := time.Duration(d).String()
	if strings.HasSuffix(text, "m0s") {
		text = text[:len(text)-2]
	}
	if strings.HasSuffix(text, "h0m") {
		text = text[:len(text)-2]
	}
	return text
}

// MarshalJSON writes whole seconds.
func (d Duration) MarshalJSON() ([]byte, error) {
	return strconv.AppendInt(nil, d.Seconds(), 10), nil
}

// UnmarshalJSON reads a string or a whole number of seconds. Its error is [ErrDuration].
func (d *Duration) UnmarshalJSON(data []byte) error {
	if bytes.Equal(data, []byte("null")) {
		return nil
	}
	text := string(data)
	if len(data) > 0 && data[0] == '"' {
		if err := json.Unmarshal(data, &text); err != nil {
			return fmt.Errorf("reading a duration: %w", err)
		}
	}
	parsed, err := ParseDuration(text)
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}
