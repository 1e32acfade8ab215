package wapc

import (
	"context"

	"policy-server/runtime/sandbox"
)

// Engine compiles waPC guests. Goroutines may share it.
type Engine struct {
	sandbox *sandbox.Engine
	limits  sandbox.Limits
}

// Module is a compiled waPC guest. Goroutines may share it.
type Module struct {
	program *sandbox.Program
	limits  sandbox.Limits
}

// abi is what waPC asks of guests. Their toolchains differ in how they start: TinyGo builds commands, whose _start
// also registers the guest's functions; Go and some Rust builds are reactors with _initialize; wapc_init registers in
// Rust. None has both of the first two.
func abi() sandbox.ABI {
	return sandbox.ABI{
		Entry: sandbox.Entry{
			Name: "__guest_call", Params: 2, Results: 1,
			Missing: "Guest call function (__guest_call) not exported by wasm module.",
		},
		Init:          [][]string{{"_start", "_initialize"}, {"wapc_init"}},
		Hosts:         []sandbox.HostModule{hostModule()},
		MissingMemory: "Cannot find 'mem' export",
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

// Run asks the guest for one operation, in an instance from start. The payload is only read. Errors: *[StartError],
// *[CallError], *[sandbox.InterruptedError], [sandbox.ErrClosed].
func (m *Module) Run(
	ctx context.Context, start sandbox.Starter, operation string, payload []byte, host sandbox.HostCall,
) (sandbox.Answer, error) {
	printed := sandbox.NewTranscript(m.limits.Print)
	s := &session{
		limits:  m.limits,
		host:    sandbox.HostCalls{Serve: host, Limit: m.limits.HostCall},
		printed: printed,
	}
	ctx = s.within(ctx)
	instance, err := start(ctx, sandbox.Process{Stdout: printed, Stderr: printed})
	if err != nil {
		return sandbox.Answer{}, s.startFault(err)
	}
	defer instance.Release()
	s.begin(operation, payload)
	results, err := instance.Call(ctx, uint64(len(operation)), uint64(len(payload)))
	if err != nil {
		return sandbox.Answer{}, s.callFault(err)
	}
	return s.outcome(results[0])
}
