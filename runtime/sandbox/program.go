package sandbox

import (
	"context"
	"fmt"

	"github.com/tetratelabs/wazero"
)

// Program is compiled code, ready for instances. It is immutable; goroutines may share it.
type Program struct {
	engine  *Engine
	code    wazero.CompiledModule
	init    []string // exported functions that prepare an instance, in order
	fuel    string   // the export that counts down to the next tick
	memory  string   // the export of its memory, or empty
	globals []string // the exports of its mutable globals, without fuel
	unsafe  []string // why memory and globals are not all of an instance's state; empty if they are

	memoryMin    uint64 // pages of 64 KiB its memory starts with
	memoryMax    uint64 // pages it lets its memory have; wazero is told of one more
	memoryShared bool   // the guest lets its host functions reach it

	gate gate
}

// Limits returns the limits of the program's engine.
func (p *Program) Limits() Limits { return p.engine.limits }

// Start returns a clean instance whose init functions have run. Its errors are *[TrapError],
// *[ExitedError], *[InterruptedError] during "start", and [ErrClosed]. The caller releases the
// instance, which ends it.
func (p *Program) Start(ctx context.Context, c Call) (*Instance, error) {
	if !p.enter() {
		return nil, ErrClosed
	}
	i := p.newInstance(c, p.engine.newHeap(), uint64(p.engine.limits.MemoryPages)*PageSize)
	if err := i.start(ctx); err != nil {
		p.leave()
		return nil, err
	}
	i.release = func(i *Instance) {
		i.close()
		p.leave()
	}
	return i, nil
}

// start instantiates and initializes.
func (i *Instance) start(ctx context.Context) error {
	if err := ended(ctx); err != nil {
		return &InterruptedError{During: duringStart, Err: err}
	}
	if err := i.instantiate(ctx); err != nil {
		return i.failed(duringStart, err)
	}
	if err := i.initialize(ctx); err != nil {
		i.close()
		return i.failed(duringStart, err)
	}
	return nil
}

// Close waits for running calls to end, refusing new ones, and frees the compiled code with all
// pools of it. When ctx ends first it returns the context's error with nothing freed, and may be
// called again.
func (p *Program) Close(ctx context.Context) error {
	if err := p.gate.close(ctx); err != nil {
		return fmt.Errorf("module: wait for running calls: %w", err)
	}
	for _, pool := range p.engine.poolsOf(p) {
		if err := pool.Close(ctx); err != nil {
			return err
		}
	}
	return p.code.Close(ctx)
}

// enter counts a call in at the program and at its engine.
func (p *Program) enter() bool {
	if !p.gate.enter() {
		return false
	}
	if !p.engine.gate.enter() {
		p.gate.leave()
		return false
	}
	return true
}

func (p *Program) leave() {
	p.engine.gate.leave()
	p.gate.leave()
}
