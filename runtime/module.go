package runtime

import (
	"context"
	"fmt"

	"policy-server/runtime/sandbox"
)

// Question is what a guest is asked: an operation, and the document it is about.
type Question = sandbox.Question

// Operation is what a guest is asked to do.
type Operation = sandbox.Operation

// The operations.
const (
	Validate         Operation = "validate"          // evaluate a request
	ValidateSettings Operation = "validate_settings" // check settings
	ProtocolVersion  Operation = "protocol_version"  // name the protocol's version; waPC only
)

// HostCall serves what guests ask of their host. [Module.Call] waits for it; its context is derived
// from that call's. A nil HostCall fails every host call inside the guest.
type HostCall = sandbox.HostCall

// Answer is what a guest answered, and what it printed besides: to stdout, stderr and the console,
// or in [WASI] to stderr.
type Answer = sandbox.Answer

// Module is a compiled module. It is immutable; goroutines may share it, and calls at the same time
// do not see each other.
type Module struct {
	program  *sandbox.Program
	protocol protocol
	leave    func() (last bool) // gives the program up, once
}

// Call asks the guest q in an instance of its own, so that nothing of one call reaches another. It
// returns when the guest is done or ctx ends; a host call in progress is waited for. For more than
// one call there is [Guest].
//
// Whatever the guest does wrong is an error: *[StartError] and *[CallError] for [WaPC],
// *[ExitError] for [WASI], *[InterruptedError] when ctx ended first. [ErrClosed] is returned after
// Close.
func (m *Module) Call(ctx context.Context, q Question, host HostCall) (Answer, error) {
	return m.run(ctx, m.program.Start, q, host)
}

func (m *Module) run(ctx context.Context, start sandbox.Starter, q Question, host HostCall) (Answer, error) {
	switch q.Operation {
	case Validate, ValidateSettings, ProtocolVersion:
		return m.protocol.run(ctx, m.program.Limits(), start, q, host)
	}
	return Answer{}, fmt.Errorf("operation %q: unknown; known: %s, %s, %s", q.Operation, Validate, ValidateSettings, ProtocolVersion)
}

// Close gives the module up; it must not be used any more, and its guests have been closed. The
// last module of the same bytes waits for running calls to end, refusing new ones, and frees the
// compiled code. When ctx ends first its error is returned, something is left unfreed, and Close
// may be called again.
func (m *Module) Close(ctx context.Context) error {
	if !m.leave() {
		return nil
	}
	return m.program.Close(ctx)
}
