package runtime

import (
	"context"
	"fmt"

	"policy-server/runtime/sandbox"
)

// Operation is what a guest is asked to do.
type Operation string

// The operations.
const (
	Validate         Operation = "validate"          // evaluate a request
	ValidateSettings Operation = "validate_settings" // check settings
	ProtocolVersion  Operation = "protocol_version"  // name the protocol's version; waPC only
)

// HostCall serves what guests ask of their host. A module calls it on the goroutine of [Module.Call], with a context
// derived from that call's. A nil HostCall fails every host call inside the guest.
type HostCall = sandbox.HostCall

// Answer is what a guest answered, and what it printed besides: to stdout, stderr and the console, or in [WASI] to
// stderr.
type Answer = sandbox.Answer

// Module is a compiled module. It is immutable; goroutines may share it, and calls at the same time do not see each
// other.
type Module struct {
	guest guest
}

// guest is a module compiled for one of the protocols.
type guest interface {
	Call(ctx context.Context, operation string, payload []byte, host HostCall) (Answer, error)
	Close(ctx context.Context) error
}

// Call asks the guest to perform op on payload in an instance of its own, so that nothing of one call reaches
// another. It returns when the guest is done or ctx ends; a host call in progress is waited for. The payload is only
// read.
//
// Whatever the guest does wrong is an error: *[StartError] and *[CallError] for [WaPC], *[ExitError] for [WASI],
// *[InterruptedError] when ctx ended first. [ErrClosed] is returned after Close.
func (m *Module) Call(ctx context.Context, op Operation, payload []byte, host HostCall) (Answer, error) {
	switch op {
	case Validate, ValidateSettings, ProtocolVersion:
		return m.guest.Call(ctx, string(op), payload, host)
	}
	return Answer{}, fmt.Errorf("operation %q: unknown; known: %s, %s, %s", op, Validate, ValidateSettings, ProtocolVersion)
}

// Close waits for running calls to end, refusing new ones, and frees the compiled code. When ctx ends first its error
// is returned, nothing is freed, and Close may be called again.
func (m *Module) Close(ctx context.Context) error { return m.guest.Close(ctx) }
