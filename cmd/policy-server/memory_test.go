package main

import (
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// TestMemoryBudget holds that the budget comes from the machine unless the operator says, that what
// guests are given is no more than that, and that a budget smaller than one guest is warned of.
func TestMemoryBudget(t *testing.T) {
	found := findMemoryBudget(options{})
	if found.bytes < 64<<20 || found.limit < found.bytes || found.from == "" {
		t.Errorf("by default: %+v", found)
	}
	if given := findMemoryBudget(options{memoryBudget: 100 << 20}); given.bytes != 100<<20 || given.from != "--memory-budget" || given.limit != found.limit {
		t.Errorf("given: %+v", given)
	}
	for _, b := range []memoryBudget{found, {bytes: 1 << 20}, {bytes: 3}} {
		if b.running() <= 0 || b.idle() <= 0 || b.running()+b.idle() > b.bytes {
			t.Errorf("%+v: %d for those that run, %d for those that wait", b, b.running(), b.idle())
		}
	}
	for _, c := range []struct{ budget, limit, warnings int64 }{{256 << 20, 128 << 20, 0}, {64 << 20, 128 << 20, 1}} {
		core, logged := observer.New(zap.WarnLevel)
		memoryBudget{bytes: c.budget}.log(zap.New(core), c.limit)
		if int64(logged.Len()) != c.warnings {
			t.Errorf("budget %d, limit %d: %d warnings", c.budget, c.limit, logged.Len())
		}
	}
}
