package sandbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// Instance is a clean instance of a program, prepared for one call. One goroutine at a time may use it.
type Instance struct {
	program      *Program
	ctx          context.Context // by which host functions find the instance; one for all its calls
	mod          api.Module
	surroundings surroundings
	linear       *linear
	release      func(*Instance)
	image        *image // what it can be reset to, or nil
	held         *held  // the run of a command that is held; then the image is the instance's own

	entry   api.Function
	memory  api.Memory          // nil if the program has none
	globals []api.MutableGlobal // in the order of the program's

	// What the call in progress has come to.
	warmingUp   bool      // host calls are served by warmUpHost
	warmUpHost  HostCall  // nil: they all fail
	refused     bool      // one of them was not served while warming up
	descriptors bool      // the guest used a WASI function that may change its descriptors
	fault       error     // how the last run of guest code failed
	turn        time.Time // when it last let others go first
}

type instanceKey struct{}

func instanceOf(ctx context.Context) *Instance { return ctx.Value(instanceKey{}).(*Instance) }

// newInstance prepares an instance for instantiate.
func (p *Program) newInstance(process Process, s store, limit uint64) *Instance {
	i := &Instance{
		program:      p,
		surroundings: surroundings{process: process},
		linear:       &linear{store: s, limit: min(limit, p.memoryMax*PageSize)},
	}
	i.ctx = context.WithValue(context.Background(), instanceKey{}, i)
	return i
}

// Context returns that of the call in progress. Host functions must obey it.
func (i *Instance) Context() context.Context { return i.surroundings.ctx }

// Session returns what the protocol gave the instance for the call in progress ([Process]).
func (i *Instance) Session() any { return i.surroundings.process.Session }

// Memory returns the memory the guest exports. Between calls, accesses that lie outside of it panic as a trap does;
// [Instance.Invoke] runs something that may.
func (i *Instance) Memory() Memory {
	return Memory{i.mod.ExportedMemory("memory"), i.program.engine.abi.MissingMemory}
}

// instantiate makes the instance, running no more of it than its start section. What fails leaves nothing open.
func (i *Instance) instantiate(ctx context.Context) error {
	i.surroundings.ctx = ctx
	allocator := experimental.MemoryAllocatorFunc(func(uint64, uint64) experimental.LinearMemory { return i.linear })
	err := caught(func() (err error) {
		i.mod, err = i.program.engine.wazero.InstantiateModule(
			experimental.WithMemoryAllocator(i.ctx, allocator), i.program.code, i.surroundings.config())
		return err
	})
	if err != nil {
		i.linear.Free() // wazero forgets the memory of an instance that does not come about
		return err
	}
	i.entry = i.mod.ExportedFunction(i.program.engine.abi.Entry.Name)
	if i.program.memory != "" {
		i.memory = i.mod.ExportedMemory(i.program.memory)
	}
	for _, name := range i.program.globals {
		i.globals = append(i.globals, i.mod.ExportedGlobal(name).(api.MutableGlobal))
	}
	return nil
}

// initialize runs the program's init functions.
func (i *Instance) initialize(ctx context.Context) error {
	i.surroundings.ctx = ctx
	for _, name := range i.program.init {
		_, err := i.mod.ExportedFunction(name).Call(i.ctx)
		var exited *ExitedError
		if errors.As(fault(ctx, duringStart, err), &exited) && exited.Code == 0 {
			continue // how TinyGo's _start ends
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Call runs the entry point and returns its results. It sees what earlier calls have left behind, so whoever wants a
// clean instance calls it once, and after an error never again. Its errors are *[TrapError], *[ExitedError] and
// *[InterruptedError] during "call".
func (i *Instance) Call(ctx context.Context, args ...uint64) ([]uint64, error) {
	if err := ended(ctx); err != nil {
		return nil, &InterruptedError{During: duringCall, Err: err}
	}
	i.surroundings.ctx = ctx
	i.program.refuel(i.mod)
	results, err := i.enter(args)
	i.fault = fault(ctx, duringCall, err)
	return results, i.fault
}

// enter runs the entry point, or goes on with a run of it that is held.
func (i *Instance) enter(args []uint64) ([]uint64, error) {
	if i.held != nil {
		return nil, i.held.serve()
	}
	return i.entry.Call(i.ctx, args...)
}

// Invoke runs any function that the guest exports, and returns its results. Like [Instance.Call], of which one call may
// consist of several, it sees what came before, and its errors are the same; a function that is not exported is a
// *[TrapError].
func (i *Instance) Invoke(ctx context.Context, name string, args ...uint64) (results []uint64, err error) {
	if err := ended(ctx); err != nil {
		return nil, &InterruptedError{During: duringCall, Err: err}
	}
	f := i.mod.ExportedFunction(name)
	if f == nil {
		return nil, &TrapError{Text: fmt.Sprintf("the guest exports no function %q", name)}
	}
	if want := len(f.Definition().ParamTypes()); want != len(args) {
		return nil, &TrapError{Text: fmt.Sprintf("export %q has type %s; it is called with %d arguments", name, typeText(f.Definition()), len(args))}
	}
	i.surroundings.ctx = ctx
	i.program.refuel(i.mod)
	results, err = f.Call(i.ctx, args...)
	i.fault = fault(ctx, duringCall, err)
	return results, i.fault
}

// Release gives the instance up. It must be called exactly once; the instance must not be used after it.
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
