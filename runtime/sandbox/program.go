package sandbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// Program is compiled code, ready for instances. It is immutable; goroutines may share it.
type Program struct {
	engine *Engine
	code   wazero.CompiledModule
	init   []string
	gate   gate
}

// Process is what a guest sees of a process around it. Its environment and its file system are always empty, its
// clocks and its source of randomness are real.
type Process struct {
	Args           []string  // none, not even the program's name, if nil
	Stdin          io.Reader // empty if nil; after io.EOF it may have data again
	Stdout, Stderr io.Writer // discarded if nil; may end the guest with [Trap]
}

// Instance is a clean instance of a program, prepared for one call. One goroutine at a time may use it.
type Instance struct {
	program *Program
	mod     api.Module
}

// Start returns a clean instance whose init functions have run. Its errors are *[TrapError], *[ExitedError],
// *[InterruptedError] during "start", and [ErrClosed]. Host functions get ctx with its values. The caller closes the
// instance.
func (p *Program) Start(ctx context.Context, process Process) (*Instance, error) {
	if err := ctx.Err(); err != nil {
		return nil, &InterruptedError{During: duringStart, Err: err}
	}
	if !p.enter() {
		return nil, ErrClosed
	}
	i := &Instance{program: p}
	if err := i.start(ctx, process); err != nil {
		i.Close(ctx)
		return nil, fault(ctx, duringStart, err)
	}
	return i, nil
}

func (i *Instance) start(ctx context.Context, process Process) error {
	err := caught(func() (err error) {
		i.mod, err = i.program.engine.wazero.InstantiateModule(ctx, i.program.code, process.config(ctx))
		return err
	})
	if err != nil {
		return err
	}
	for _, name := range i.program.init {
		_, err := i.mod.ExportedFunction(name).Call(ctx)
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

// config describes process to wazero. Nothing is started by itself, and the instance has no name: there may be many.
func (p Process) config(ctx context.Context) wazero.ModuleConfig {
	return wazero.NewModuleConfig().
		WithName("").
		WithStartFunctions().
		WithArgs(p.Args...).
		WithStdin(p.Stdin).
		WithStdout(p.Stdout).
		WithStderr(p.Stderr).
		WithSysWalltime().
		WithSysNanotime().
		WithNanosleep(sleeper(ctx)).
		WithRandSource(rand.Reader)
}

// Call runs the entry point and returns its results. It must be called at most once, with the context given to
// Start. Its errors are *[TrapError], *[ExitedError] and *[InterruptedError] during "call".
func (i *Instance) Call(ctx context.Context, args ...uint64) ([]uint64, error) {
	if err := ctx.Err(); err != nil {
		return nil, &InterruptedError{During: duringCall, Err: err}
	}
	results, err := i.mod.ExportedFunction(i.program.engine.abi.Entry.Name).Call(ctx, args...)
	return results, fault(ctx, duringCall, err)
}

// Close gives the instance up; its memory goes back to the collector. It must be called exactly once.
func (i *Instance) Close(ctx context.Context) {
	if i.mod != nil {
		_ = i.mod.Close(ctx) // there is nothing of the guest's that could fail to close
	}
	i.program.leave()
}

// Close waits for running calls to end, refusing new ones, and frees the compiled code. When ctx ends first it
// returns the context's error with nothing freed, and may be called again.
func (p *Program) Close(ctx context.Context) error {
	if err := p.gate.close(ctx); err != nil {
		return fmt.Errorf("module: wait for running calls: %w", err)
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
