package fsm

import (
	"strings"
	"time"
)

// FormatTTL writes a length of time as people do: "1h30m", not "1h30m0s".
func FormatTTL(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
