package broker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestCompany(t *testing.T) {
	const most = 10 * time.Millisecond
	for name, row := range map[string]struct {
		usual    time.Duration
		underWay int64
		most     time.Duration
		want     time.Duration
	}{
		"alone":                     {usual: 100 * time.Millisecond, underWay: companions - 1, most: most, want: 0},
		"with others":               {usual: 96 * time.Millisecond, underWay: companions, most: most, want: 8 * time.Millisecond},
		"never longer than allowed": {usual: time.Minute, underWay: companions, most: most, want: most},
		"quick requests":            {usual: 20 * time.Millisecond, underWay: 100, most: most, want: 0},
		"nothing known yet":         {underWay: 100, most: most, want: 0},
		"a clock that went back":    {usual: -time.Hour, underWay: 100, most: most, want: 0},
		"switched off":              {usual: time.Minute, underWay: 100, most: -1, want: 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := company{most: row.most, usual: row.usual}
				began := time.Now()
				c.wait(t.Context(), row.underWay)
				if got := time.Since(began); got != row.want {
					t.Errorf("waited %s, want %s", got, row.want)
				}
			})
		})
	}
}

// Whoever comes while others wait goes with them, and the next one waits anew.
func TestCompanyGoesTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := company{most: 10 * time.Millisecond, usual: time.Second}
		began := time.Now()
		gone := make(chan time.Duration, 3)
		for _, late := range []time.Duration{0, 3 * time.Millisecond, 9 * time.Millisecond} {
			go func() {
				time.Sleep(late)
				c.wait(t.Context(), companions)
				gone <- time.Since(began)
			}()
		}
		for range cap(gone) {
			if got := <-gone; got != 10*time.Millisecond {
				t.Errorf("went after %s, want all together after 10ms", got)
			}
		}
		c.wait(t.Context(), companions)
		if got := time.Since(began); got != 20*time.Millisecond {
			t.Errorf("the next one went after %s, want 20ms", got)
		}
	})
}

func TestCompanyEndsWithTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := company{most: time.Hour, usual: 100 * time.Hour}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		c.wait(ctx, companions)
		if got := time.Since(began); got != time.Second {
			t.Errorf("waited %s after the request had ended", got-time.Second)
		}
	})
}

func TestCompanyLearnsWhatIsUsual(t *testing.T) {
	c := company{}
	for range 200 {
		c.took(64 * time.Millisecond)
	}
	if got := c.usual; got < 60*time.Millisecond || got > 64*time.Millisecond {
		t.Errorf("got %s, want about 64ms", got)
	}
}
