//go:build !linux

package main

// checkSynchronised knows nothing here.
func (r *report) checkSynchronised(check string) {
	r.warn(check, "whether this machine's clock is synchronised is looked at on Linux only")
}

// checkDisk knows nothing here.
func (r *report) checkDisk(string) {
	r.warn("disk speed", "disks are looked at on Linux only")
}

// freeBytes knows nothing here.
func freeBytes(string) (free uint64, known bool, err error) { return 0, false, nil }
