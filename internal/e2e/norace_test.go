//go:build !race

package e2e

// raceFlag is the flag that changes nothing: the binaries are built as users build them.
const raceFlag = "-race=false"
