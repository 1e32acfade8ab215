package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"go.uber.org/zap"

	"policy-server/runtime"
)

// memoryBudget is how many bytes of guest memory all instances may hold together, and what it comes
// from.
type memoryBudget struct {
	bytes int64
	from  string
	limit int64 // what the process may use in all; 0: unknown
}

// Guests that run may hold three quarters of the budget, and instances that wait for a call the
// rest: what one of these frees is not needed by the others.
func (b memoryBudget) running() int64 { return b.bytes - b.idle() }
func (b memoryBudget) idle() int64    { return max(b.bytes/4, 1) }

// requests is how many bytes the requests in flight may take: so many if they are given, else an
// eighth of all.
func (b memoryBudget) requests(given int64) int64 {
	return cmp.Or(given, cmp.Or(b.limit, fallbackBudget)/8)
}

// fallbackBudget is for systems that do not tell how much memory there is.
const fallbackBudget = 1 << 30

// findMemoryBudget returns the budget that o names or, by default, half of the memory that this
// process may use: the other half is for compiled code, requests and answers, and what the garbage
// collector has not come to.
func findMemoryBudget(o options) memoryBudget {
	limit, from := uint64(0), ""
	for _, source := range []struct {
		name string
		read func() (uint64, error)
	}{
		{"half of the container's memory limit", memlimit.FromCgroup},
		{"half of the machine's memory", memlimit.FromSystem},
	} {
		// A container without a limit may be told a number that no machine has.
		if n, err := source.read(); err == nil && n > 0 && (limit == 0 || n < limit) {
			limit, from = n, source.name
		}
	}
	switch {
	case o.memoryBudget > 0:
		return memoryBudget{o.memoryBudget, "--memory-budget", int64(limit)}
	case limit == 0:
		return memoryBudget{fallbackBudget, "default: this system does not tell how much memory there is", 0}
	}
	return memoryBudget{int64(limit / 2), from, int64(limit)}
}

// Bounds of what one compilation may take when the operator does not say. The most that was needed
// for a module of 100 MB is 1.4 GB, and a few megabytes of module need some 200 MB.
const (
	leastCompiling = 512 << 20
	mostCompiling  = 2 << 30
)

// newCompiler returns the compiler, which is this program again in processes of its own unless o
// says otherwise.
func newCompiler(o options, budget memoryBudget, log *zap.Logger) *runtime.Compiler {
	c := &runtime.Compiler{Memory: o.compileMemory, Timeout: o.compileTimeout}
	if c.Memory == 0 {
		c.Memory = min(max(budget.limit/2, leastCompiling), mostCompiling)
	}
	if o.compileHere {
		return c
	}
	program, err := os.Executable()
	if err != nil {
		log.Warn("modules are compiled in this process", zap.Error(err))
		return c
	}
	c.Command = []string{program, compilerArgument}
	return c
}

// collectorPercent is how much garbage the collector lets come together while requests are served,
// in percent of what is in use. That is little, ten or twenty megabytes, so that with Go's default
// of 100 the collector would run at every few hundred requests, and stand in the way of one in a
// hundred (RATIONALE.md, "What is the tail of the latency made of?").
const collectorPercent = 400

// leastHeap is what Go's heap is left, whatever the budget says.
const leastHeap = 64 << 20

// tuneCollector has the collector run more rarely, now that the start with all it leaves behind is
// over; but never so rarely that Go's heap and the budget together exceed what the process may use.
// What the operator has set by GOGC or GOMEMLIMIT holds.
func (b memoryBudget) tuneCollector() {
	debug.FreeOSMemory()
	if os.Getenv("GOMEMLIMIT") == "" && b.limit > 0 {
		debug.SetMemoryLimit(max(b.limit-b.bytes, leastHeap))
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectorPercent)
	}
}

// log says what the budget is, and warns of one in which the largest guest has no room beside
// others.
func (b memoryBudget) log(log *zap.Logger, memoryLimit int64) {
	log.Info("memory for instances", zap.Int64("bytes", b.bytes), zap.String("from", b.from))
	if b.running() < memoryLimit {
		log.Warn("a guest may grow beyond the memory for all instances, and is refused that while others run",
			zap.Int64("memory_budget", b.bytes), zap.Int64("memory_limit", memoryLimit),
			zap.String("hint", "lower --memory-limit, or give the container more memory"))
	}
}

// Bounds of what the operator may give: what nothing could be done with, and what no machine has.
const (
	leastBudget         = 1 << 20
	leastCompilingGiven = 64 << 20
	maxBudget           = 1 << 50
)

// parseBudget reads a number of bytes, of which 0 means what fits this machine.
func parseBudget(text string, least int64) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil:
		return 0, errors.New("not a number of bytes")
	case n != 0 && (n < least || n > maxBudget):
		return 0, fmt.Errorf("legal: 0 for a part of the memory there is, or %d to %d bytes", least, int64(maxBudget))
	}
	return n, nil
}
