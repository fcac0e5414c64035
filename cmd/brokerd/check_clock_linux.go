package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// checkSynchronised asks the kernel whether somebody keeps the clock right.
func (r *report) checkSynchronised(check string) {
	var t unix.Timex // no mode: it is only read
	state, err := unix.Adjtimex(&t)
	switch {
	case err != nil:
		r.warn(check, "whether this machine's clock is synchronised cannot be read: %v", err)
	case state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0:
		r.warn(check, "this machine's clock is not synchronised: run chrony or systemd-timesyncd (in a virtual machine its host may do that unseen)")
	default:
		r.ok(check, "synchronised, right to %s", (time.Duration(t.Maxerror) * time.Microsecond).Round(time.Millisecond))
	}
}
