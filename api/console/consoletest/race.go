//go:build race

package consoletest

const raceFlag = "-race"
