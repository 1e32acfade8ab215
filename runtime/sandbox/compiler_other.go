//go:build !linux

package sandbox

import (
	"os/exec"
	"runtime/debug"
)

// limitProcess has the collector work the harder the nearer bytes are. Nothing else holds the
// limits here.
func limitProcess(bytes, _ uint64) { debug.SetMemoryLimit(int64(bytes / 4 * 3)) }

func inOwnGroup(*exec.Cmd) {}

func giveWay(int) {}
