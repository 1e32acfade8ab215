package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// Instance is a clean instance of a program, prepared for one call. One goroutine at a time may use
// it.
type Instance struct {
	program *Program
	mod     api.Module
	self    context.Context // by which host functions find the instance
	linear  *linear
	release func(*Instance)
	image   *image // what it can be reset to, or nil
	held    *held  // the run of a command that is held; then the image is the instance's own

	functions []api.Function      // in the order of the protocol's exports; nil until called
	memory    api.Memory          // nil if the program has none
	globals   []api.MutableGlobal // in the order of the program's

	// The call in progress, and what it has come to.
	ctx         context.Context
	call        Call
	warmingUp   bool         // host calls are served by warmUpHost
	warmUpHost  HostCall     // nil: they all fail
	refused     bool         // one of them was not served while warming up
	descriptors bool         // the guest used a WASI function that may change its descriptors
	fault       error        // how the last run of guest code failed
	running     api.Function // whose stack the guest's code is on; nil between calls
	stack       int64        // bytes of that stack the turn knows of
	turn        time.Time    // when it last let other goroutines go first
	breath      time.Time    // when it last let other threads
}

type instanceKey struct{}

func instanceOf(ctx context.Context) *Instance { return ctx.Value(instanceKey{}).(*Instance) }

// newInstance prepares an instance for instantiate.
func (p *Program) newInstance(c Call, s store, limit uint64) *Instance {
	i := &Instance{
		program:   p,
		call:      c,
		linear:    &linear{store: s, limit: min(limit, p.memoryMax*PageSize), start: p.memoryMin * PageSize},
		functions: make([]api.Function, len(p.engine.abi.Exports)),
	}
	i.linear.owner = i
	if heap, ok := s.(*heapStore); ok {
		heap.limit = i.linear.limit
	}
	// wazero hands one context to all host functions of a call. This one is made once and carries
	// the instance alone, which has the call's own context: so a call allocates none.
	i.self = context.WithValue(context.Background(), instanceKey{}, i)
	return i
}

// Context returns the context of the call in progress. Host functions obey it.
func (i *Instance) Context() context.Context { return i.ctx }

// Session returns the Session of the call in progress.
func (i *Instance) Session() any { return i.call.Session }

// Memory returns the guest's memory, for use by a host function until it returns.
func (i *Instance) Memory() Memory {
	if !i.program.memoryShared {
		return Memory{nil, i.program.engine.abi.MissingMemory}
	}
	return Memory{i.memory, i.program.engine.abi.MissingMemory}
}

// findMemory finds the memory of mod, which is the instance, unless that was done.
func (i *Instance) findMemory(mod api.Module) {
	if i.memory == nil && i.program.memory != "" {
		i.memory = mod.ExportedMemory(i.program.memory)
	}
}

// instantiate makes the instance, running no more of it than its start section. What fails leaves
// nothing open.
func (i *Instance) instantiate(ctx context.Context) error {
	i.ctx = ctx
	allocator := experimental.MemoryAllocatorFunc(func(uint64, uint64) experimental.LinearMemory { return i.linear })
	err := caught(func() (err error) {
		i.mod, err = i.program.engine.wazero.InstantiateModule(
			experimental.WithMemoryAllocator(i.self, allocator), i.program.code, i.config())
		return err
	})
	if err != nil {
		i.linear.Free() // wazero forgets the memory of an instance that does not come about
		return err
	}
	i.findMemory(i.mod)
	for _, name := range i.program.globals {
		i.globals = append(i.globals, i.mod.ExportedGlobal(name).(api.MutableGlobal))
	}
	return nil
}

// initialize runs the program's init functions.
func (i *Instance) initialize(ctx context.Context) error {
	i.ctx = ctx
	for _, name := range i.program.init {
		_, err := i.on(i.mod.ExportedFunction(name))
		var exited *ExitedError
		if errors.As(i.failed(duringStart, err), &exited) && exited.Code == 0 {
			continue // how TinyGo's _start ends
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Call runs one of the functions that the protocol's ABI lists as exports, and returns its results.
// It sees what earlier calls have left behind, so for a clean instance the first call is the first.
// A host function may call back, with the context of the call that it serves. After an error
// nothing runs any more, and the error comes again. Errors are *[TrapError], *[ExitedError] and
// *[InterruptedError] during "call".
//
// In an instance whose command is held the run goes on with a request, whatever the function.
func (i *Instance) Call(ctx context.Context, name string, args ...uint64) ([]uint64, error) {
	if i.fault != nil {
		return nil, i.fault
	}
	if err := ended(ctx); err != nil {
		return nil, &InterruptedError{During: duringCall, Err: err}
	}
	i.ctx = ctx
	i.program.refuel(i.mod)
	results, err := i.enter(name, args)
	if i.fault == nil { // else a call by a host function failed before, and the guest is not to go on
		i.fault = i.failed(duringCall, err)
	}
	return results, i.fault
}

// enter runs a function, or goes on with a run that is held.
func (i *Instance) enter(name string, args []uint64) ([]uint64, error) {
	if i.held != nil {
		i.running = i.held.run
		return nil, i.held.serve()
	}
	n := slices.IndexFunc(i.program.engine.abi.Exports, func(x Export) bool { return x.Name == name })
	if n < 0 {
		return nil, &TrapError{Text: fmt.Sprintf("function %q is not among the exports of the protocol", name)}
	}
	if i.functions[n] == nil {
		i.functions[n] = i.mod.ExportedFunction(name)
	}
	return i.on(i.functions[n], args...)
}

// on calls f, and notes that its stack is the one in use.
func (i *Instance) on(f api.Function, args ...uint64) ([]uint64, error) {
	before := i.running
	i.running = f
	results, err := f.Call(i.self, args...)
	i.running = before
	return results, err
}

// Read returns a copy of n bytes of the guest's memory at ptr, for a protocol between two calls.
// Bytes outside of it are a *[TrapError], and the end of the instance as if it had trapped by
// itself.
func (i *Instance) Read(ptr, n uint32) ([]byte, error) {
	b, trap := i.Memory().slice(ptr, uint64(n))
	if trap != nil {
		i.fault = trap
		return nil, trap
	}
	return bytes.Clone(b), nil
}

// Write copies b to ptr in the guest's memory, otherwise as [Instance.Read].
func (i *Instance) Write(ptr uint32, b []byte) error {
	to, trap := i.Memory().slice(ptr, uint64(len(b)))
	if trap != nil {
		i.fault = trap
		return trap
	}
	copy(to, b)
	return nil
}

// Release gives the instance up. It must be called exactly once; the instance must not be used
// after it.
func (i *Instance) Release() { i.release(i) }

// close frees the instance. Its memory goes back to the system or the collector.
func (i *Instance) close() {
	if i.held != nil {
		i.held.close()
	}
	if i.mod != nil {
		_ = i.mod.Close(context.Background()) // there is nothing of the guest's that could fail to close
	}
	if i.held != nil {
		i.image.free()
	}
}
