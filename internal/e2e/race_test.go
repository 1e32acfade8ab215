//go:build race

package e2e

// raceFlag makes the binaries under test as watchful as the tests themselves.
const raceFlag = "-race"
