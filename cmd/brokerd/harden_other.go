//go:build !linux

package main

// harden does nothing: where the broker is not meant to run in earnest, cores are as the system has them.
func harden() error { return nil }
