//go:build !race

package e2e

const raceFlag = "-race=false"

const slow = 1
