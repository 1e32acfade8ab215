package wapc

import (
	"context"

	"policy-server/runtime/sandbox"
)

// guestCall is the function that has a guest perform an operation, given the lengths of the
// operation's name and of the payload.
const guestCall = "__guest_call"

// ABI is what waPC asks of guests. Their toolchains differ in how they start: TinyGo builds
// commands, whose _start also registers the guest's functions; Go and some Rust builds are reactors
// with _initialize; wapc_init registers in Rust. None has both of the first two.
func ABI() sandbox.ABI {
	return sandbox.ABI{
		Kind: sandbox.Library{Init: [][]string{{"_start", "_initialize"}, {"wapc_init"}}},
		Exports: []sandbox.Export{{
			Name: guestCall, Params: 2, Results: 1,
			Missing: "Guest call function (__guest_call) not exported by wasm module.",
		}},
		Hosts:         []sandbox.HostModule{hostModule()},
		MissingMemory: "Cannot find 'mem' export",
	}
}

// Run asks a guest q, in an instance from start that has these limits. Errors:
// *[StartError], *[CallError], *[sandbox.InterruptedError], [sandbox.ErrClosed].
func Run(
	ctx context.Context, limits sandbox.Limits, start sandbox.Starter, q sandbox.Question, host sandbox.HostCall,
) (sandbox.Answer, error) {
	s := &session{outputLimit: limits.Output, printed: sandbox.NewTranscript(limits.Print)}
	instance, err := start(ctx, sandbox.Call{Printed: s.printed, Host: host, Session: s})
	if err != nil {
		return sandbox.Answer{}, s.startFault(err)
	}
	defer instance.Release()
	s.begin(q)
	results, err := instance.Call(ctx, guestCall, uint64(len(q.Operation)), uint64(len(q.Payload)))
	if err != nil {
		return sandbox.Answer{}, s.callFault(err)
	}
	return s.outcome(results[0])
}
