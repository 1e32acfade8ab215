package sandbox

import (
	"context"
	"slices"

	"github.com/tetratelabs/wazero/api"
)

// ABI is what a guest protocol asks of a module and offers to it, beside WASI, which every guest has.
type ABI struct {
	// Entry is the exported function that a call runs.
	Entry Entry
	// Init names the exported functions of type () -> () that prepare a new instance, in order. Of each group the
	// first that the module exports is run, none if it exports none.
	Init [][]string
	// Hosts are the import modules offered.
	Hosts []HostModule
	// Command, unless empty, says that guests are WASI commands: running the entry point is all of an instance's life.
	// These are the arguments of the runs that go on from an image, at the first read of stdin; all other runs are new.
	Command []string
	// Memory names module and name of the memory that guests may import; the zero value: none. They get one of their own.
	Memory [2]string
	// MissingMemory is the trap's text when a host function is called by a guest that exports no "memory".
	MissingMemory string
}

// Entry is an exported function whose parameters and results are all i32.
type Entry struct {
	Name            string
	Params, Results int
	Missing         string // the reason given when a module lacks it, or has it with another type
}

// HostModule is an import module: a name and its functions.
type HostModule struct {
	Name      string
	Functions []HostFunction
}

// HostFunction is a function that guests import. Its parameters and results are all i32.
type HostFunction struct {
	Name            string
	Params, Results int

	// Call serves one use. The stack holds the arguments, one an element in its low half, and takes the results from
	// its beginning. The instance has the context and the session of the call into the guest. That call waits for it;
	// it may end the guest with [Trap], and must not keep mem.
	Call func(i *Instance, mem Memory, stack []uint64)
}

// startUp lists the functions that run before an image is taken, and never after.
func (a ABI) startUp() []string { return slices.Concat(a.Init...) }

// goFunction adapts f to wazero. What f costs may be the guest's to choose, so it is a place to end the guest at.
func (a ABI) goFunction(f HostFunction) api.GoModuleFunc {
	return func(ctx context.Context, mod api.Module, stack []uint64) {
		i := instanceOf(ctx)
		if i.held != nil && !i.held.serving {
			i.held.refuse("it calls its host" + beforeRead)
		}
		stopIfDone(i.surroundings.ctx)
		f.Call(i, Memory{mod.ExportedMemory("memory"), a.MissingMemory}, stack)
	}
}

// i32s is the type of n parameters or results.
func i32s(n int) []api.ValueType {
	types := make([]api.ValueType, n)
	for i := range types {
		types[i] = api.ValueTypeI32
	}
	return types
}
