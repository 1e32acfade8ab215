package wasi

import (
	"context"
	"fmt"

	"policy-server/runtime/sandbox"
)

// Engine compiles WASI commands. Goroutines may share it.
type Engine struct {
	sandbox *sandbox.Engine
	limits  sandbox.Limits
}

// Module is a compiled WASI command. Goroutines may share it.
type Module struct {
	program *sandbox.Program
	limits  sandbox.Limits
}

func abi() sandbox.ABI {
	return sandbox.ABI{
		Entry: sandbox.Entry{
			Name:    "_start",
			Missing: "cannot find `_start` function inside of module: WASI guests must be commands, not reactors",
		},
		Hosts:         hostModules(),
		Command:       true,
		MissingMemory: "cannot find 'mem' export",
	}
}

// Open starts an engine. Without a cache every module is compiled anew. The caller closes the engine.
func Open(ctx context.Context, limits sandbox.Limits, cache *sandbox.CodeCache) (*Engine, error) {
	engine, err := sandbox.Open(ctx, limits, abi(), cache)
	if err != nil {
		return nil, err
	}
	return &Engine{sandbox: engine, limits: limits}, nil
}

// Compile compiles a guest; the error is a *[sandbox.CompileError] or [sandbox.ErrClosed]. The caller closes the
// module, or the engine with all its modules.
func (e *Engine) Compile(ctx context.Context, module []byte) (*Module, error) {
	program, err := e.sandbox.Compile(ctx, module)
	if err != nil {
		return nil, err
	}
	return &Module{program: program, limits: e.limits}, nil
}

// Close waits for running calls and frees the engine with all its modules; see [sandbox.Engine.Close].
func (e *Engine) Close(ctx context.Context) error { return e.sandbox.Close(ctx) }

// Program returns the compiled code, from which come the instances that [Module.Run] works with.
func (m *Module) Program() *sandbox.Program { return m.program }

// Run runs the guest once, in an instance from start, for the operation "validate" or "validate_settings". The payload
// is only read. Errors: *[ExitError], *[sandbox.InterruptedError], [sandbox.ErrClosed], and one for any other operation.
func (m *Module) Run(
	ctx context.Context, start sandbox.Starter, operation string, payload []byte, host sandbox.HostCall,
) (sandbox.Answer, error) {
	argument, err := argumentOf(operation)
	if err != nil {
		return sandbox.Answer{}, err
	}
	s := &session{
		host:        sandbox.HostCalls{Serve: host, Limit: m.limits.HostCall},
		payloadSize: len(payload),
		stdout:      stdout{limit: m.limits.Output},
		stderr:      sandbox.NewTranscript(m.limits.Print),
	}
	s.stdin.append(payload)
	ctx = s.within(ctx)
	instance, err := start(ctx, sandbox.Process{
		// JavaScript guests insist on exactly two arguments.
		Args:   []string{"policy.wasm", argument},
		Stdin:  &s.stdin,
		Stdout: &s.stdout,
		Stderr: s.stderr,
	})
	if err != nil {
		return s.outcome(err)
	}
	defer instance.Release()
	_, err = instance.Call(ctx)
	return s.outcome(err)
}

// argumentOf returns how the command line spells operation.
func argumentOf(operation string) (string, error) {
	switch operation {
	case "validate":
		return "validate", nil
	case "validate_settings":
		return "validate-settings", nil
	}
	return "", fmt.Errorf("operation %q: not known to WASI policies; known: validate, validate_settings", operation)
}
