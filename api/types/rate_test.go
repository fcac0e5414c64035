package types_test

import (
	"errors"
	"testing"
	"time"

	"broker/api/types"
)

func TestRate(t *testing.T) {
	for _, row := range []struct {
		text string
		want types.Rate
		ok   bool
		back string // as it is formatted again
	}{
		{"10/1m", types.Rate{Count: 10, Per: time.Minute}, true, "10/1m"},
		{" 5/s ", types.Rate{Count: 5, Per: time.Second}, true, "5/1s"},
		{"1/1h30m", types.Rate{Count: 1, Per: 90 * time.Minute}, true, "1/1h30m"},
		{"3/d", types.Rate{Count: 3, Per: 24 * time.Hour}, true, "3/24h"},
		{"7/60", types.Rate{Count: 7, Per: time.Minute}, true, "7/1m"},
		{"", types.Rate{}, true, ""},
		{"0/1m", types.Rate{}, false, ""},
		{"10", types.Rate{}, false, ""},
		{"10/", types.Rate{}, false, ""},
		{"10/0s", types.Rate{}, false, ""},
		{"10/-1m", types.Rate{}, false, ""},
		{"-1/m", types.Rate{}, false, ""},
		{"1.5/m", types.Rate{}, false, ""},
		{"10/m/m", types.Rate{}, false, ""},
		{"many", types.Rate{}, false, ""},
	} {
		got, err := types.ParseRate(row.text)
		if (err == nil) != row.ok || got != row.want || got.String() != row.back {
			t.Errorf("%q is read as %v (%q), %v; want %v (%q)", row.text, got, got.String(), err, row.want, row.back)
		}
		if err != nil && !errors.Is(err, types.ErrRate) {
			t.Errorf("%q: the error is %v", row.text, err)
		}
	}
}

func FuzzParseRate(f *testing.F) {
	for _, seed := range []string{"10/1m", "5/s", "1/7d", "0/0", "/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := types.ParseRate(text)
		if err != nil {
			return
		}
		if again, err := types.ParseRate(r.String()); err != nil || again != r {
			t.Errorf("%q is %v, which is read as %v, %v", text, r, again, err)
		}
	})
}
