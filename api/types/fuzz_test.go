package types

import (
	"encoding/json"
	"errors"
	"testing"
	"time"
)

func FuzzDuration(f *testing.F) {
	for _, seed := range []string{"90s", "1h30m", "7d", "5400", "-5m", "1d12h", "0", "", "d", "1.5h", "-1d-1h", "9223372036854775807", "106751d", "65535d", "1e3", "+5", "1d1d", " 5 ", "5m5", "∞"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDuration(text)
		if err != nil {
			if !errors.Is(err, ErrDuration) || d != 0 {
				t.Errorf("%q: %d, %v", text, d, err)
			}
			return
		}
		if again, err := ParseDuration(d.String()); err != nil || again != d {
			// Below a second there are units that people do not write.
			if d.Std()%time.Millisecond == 0 {
				t.Errorf("%q is %d, written %q, read as %d, %v", text, d, d, again, err)
			}
		}
		quoted, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		var decoded Duration
		if err := decoded.UnmarshalJSON(quoted); err != nil && json.Valid([]byte(text)) || err == nil && decoded != d {
			t.Errorf("%q is %d as text and %d in JSON, %v", text, d, decoded, err)
		}
	})
}

func FuzzRate(f *testing.F) {
	for _, seed := range []string{"10/1m", "5/s", "", "0/s", "-1/s", "1/0s", "1/-1s", "18446744073709551615/d", "1/1d", "1//s", "/s", "1/", "1/1", "+1/s", "1/500ms"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRate(text)
		if err != nil {
			if !errors.Is(err, ErrRate) || r != (Rate{}) {
				t.Errorf("%q: %v, %v", text, r, err)
			}
			return
		}
		if r != (Rate{}) && (r.Count == 0 || r.Per <= 0) {
			t.Errorf("%q is %+v", text, r)
		}
		if again, err := ParseRate(r.String()); (err != nil || again != r) && r.Per%time.Millisecond == 0 {
			t.Errorf("%q is %+v, written %q, read as %+v, %v", text, r, r, again, err)
		}
	})
}
