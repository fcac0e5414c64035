package types

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// RateRule says in words what [ParseRate] accepts; error messages quote it.
const RateRule = `must be a number of leases in a length of time such as "10/1m" or "5/s", or empty for no limit`

// ErrRate is returned when a text is no rate.
var ErrRate = errors.New(RateRule)

// Rate is a number of leases that may be issued in a length of time. It travels as the text "10/1m";
// the zero Rate, the empty text, sets no limit.
type Rate struct {
	Count uint64
	Per   time.Duration
}

// ParseRate reads a rate: "10/1m", "5/s", or "" for none. Its error is [ErrRate].
func ParseRate(text string) (Rate, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return Rate{}, nil
	}
	count, per, ok := strings.Cut(text, "/")
	n, err := strconv.ParseUint(count, 10, 64)
	if !ok || err != nil || n == 0 {
		return Rate{}, ErrRate
	}
	if per != "" && (per[0] < '0' || per[0] > '9') {
		per = "1" + per // one of the unit
	}
	d, err := ParseDuration(per)
	if err != nil || d <= 0 {
		return Rate{}, ErrRate
	}
	return Rate{Count: n, Per: d.Std()}, nil
}

// String formats the rate so that [ParseRate] reads it: "10/1m"; empty for none.
func (r Rate) String() string {
	if r == (Rate{}) {
		return ""
	}
	return strconv.FormatUint(r.Count, 10) + "/" + Duration(r.Per).String()
}
