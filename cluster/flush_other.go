//go:build !linux

package cluster

import "os"

// flush makes what was written to a file durable.
func flush(f *os.File) error { return f.Sync() }
