package wapc

import (
	"context"

	"policy-server/runtime/sandbox"
)

// ABI is what waPC asks of guests. Their toolchains differ in how they start: TinyGo builds commands, whose _start
// also registers the guest's functions; Go and some Rust builds are reactors with _initialize; wapc_init registers in
// Rust. None has both of the first two.
func ABI() sandbox.ABI {
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

// Run asks a guest for one operation, in an instance from start that has these limits. The payload is only read. Errors:
// *[StartError], *[CallError], *[sandbox.InterruptedError], [sandbox.ErrClosed].
func Run(
	ctx context.Context, limits sandbox.Limits, start sandbox.Starter, operation string, payload []byte, host sandbox.HostCall,
) (sandbox.Answer, error) {
	printed := sandbox.NewTranscript(limits.Print)
	s := &session{
		limits:  limits,
		host:    sandbox.HostCalls{Serve: host, Limit: limits.HostCall},
		printed: printed,
	}
	instance, err := start(ctx, sandbox.Process{Stdout: printed, Stderr: printed, Session: s})
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
