//go:build race

package e2e

// raceFlag builds the daemons with the race detector when the tests have it.
const raceFlag = "-race=true"

// slow is how many times longer something may take than what is promised: with the detector, on a machine that does
// much else.
const slow = 5
