package fsm

import "time"

// Instant is a point in time in UTC milliseconds since 1970. Zero means "not set". Records hold
// Instants, not time.Time, so that they encode to the same bytes on every node.
type Instant int64

// At converts a time to an Instant, cutting below the millisecond. The zero time becomes zero.
func At(t time.Time) Instant {
	if t.IsZero() {
		return 0
	}
	return Instant(t.UnixMilli())
}

// Time converts back. Zero becomes the zero time.
func (i Instant) Time() time.Time {
	if i == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(i)).UTC()
}

// IsZero reports whether the instant is not set.
func (i Instant) IsZero() bool { return i == 0 }

// Add returns the instant d later. Lengths below a millisecond are cut.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d/time.Millisecond) }

// Sub returns the length from j to i.
func (i Instant) Sub(j Instant) time.Duration { return time.Duration(i-j) * time.Millisecond }

// String formats the instant as RFC 3339 in UTC, or "never" when it is not set.
func (i Instant) String() string {
	if i == 0 {
		return "never"
	}
	return i.Time().Format("2006-01-02T15:04:05.000Z07:00")
}
