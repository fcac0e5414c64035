//go:build race

package e2e

// raceFlag builds the daemons with the race detector when the tests have it.
const raceFlag = "-race=true"
