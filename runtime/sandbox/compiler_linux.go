package sandbox

import (
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
)

// limitProcess bounds what this process may take from now on. Beyond so many bytes the next
// allocation ends it, and the collector works the harder the nearer that is; beyond so many seconds
// of processor time it is killed. And if the container's memory runs out, this is the process to be
// killed.
func limitProcess(bytes, seconds uint64) {
	debug.SetMemoryLimit(int64(bytes / 4 * 3))
	for resource, limit := range map[int]uint64{syscall.RLIMIT_DATA: dataSize() + bytes, syscall.RLIMIT_CPU: seconds} {
		_ = syscall.Setrlimit(resource, &syscall.Rlimit{Cur: limit, Max: limit})
	}
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0)
}

// dataSize is how many bytes count for RLIMIT_DATA by now: some megabytes, or what the race
// detector has set aside.
func dataSize() uint64 {
	const data = 5 // its place in the file
	content, err := os.ReadFile("/proc/self/statm")
	fields := strings.Fields(string(content))
	if err != nil || len(fields) <= data {
		return 0
	}
	pages, _ := strconv.ParseUint(fields[data], 10, 64) // 0 bounds more strictly
	return pages * uint64(os.Getpagesize())
}

// inOwnGroup puts the process and all its threads in a group of their own, so that giveWay reaches
// them, and a terminal's interrupt does not: it is for the process that waits.
func inOwnGroup(command *exec.Cmd) { command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// giveWay lets this process, which may be serving, go before the group of that process.
func giveWay(pid int) { _ = syscall.Setpriority(syscall.PRIO_PGRP, pid, compilerNice) }

// compilerNice is how much less than others a compiler insists on a processor: where nobody else
// wants one it makes no difference.
const compilerNice = 10
