package runtime

import (
	"policy-server/runtime/sandbox"
	"policy-server/runtime/wapc"
	"policy-server/runtime/wasi"
)

// The errors of this package under one roof.
type (
	// CompileError reports a module that can never run here.
	CompileError = sandbox.CompileError

	// StartError reports a waPC guest that failed before the call began.
	StartError = wapc.StartError

	// CallError reports a waPC guest that did not answer.
	CallError = wapc.CallError

	// ExitError reports a WASI guest that exited with a code other than 0, or trapped.
	ExitError = wasi.ExitError

	// InterruptedError reports that the context ended while, or before, the guest ran. It unwraps
	// to the context's error.
	InterruptedError = sandbox.InterruptedError
)

// ErrClosed is returned by every use of a closed engine, module or guest.
var ErrClosed = sandbox.ErrClosed

// ErrServing is returned by [Guest.WarmUp] after the first call.
var ErrServing = sandbox.ErrServing
