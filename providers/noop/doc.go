// Package noop is a provider for measuring the broker by itself: it makes values and forgets them, and
// nothing is made anywhere. Its leases are as real as any to the broker, and open no door.
//
// Two ways to break it: letting it remember anything, which would be measured too, and registering it
// in a daemon that was not told to: whoever is given its values believes to have a login.
package noop
