package sandbox

import (
	"errors"
	"fmt"
)

// ErrClosed is returned by every use of an engine or a compiled module that was closed.
var ErrClosed = errors.New("runtime is closed")

// CompileError reports a module that can never run here: malformed, lacking an export, asking for
// an import no host offers, or over a limit before it starts.
type CompileError struct {
	Reason string // what is wrong, naming the import, export or section
	Err    error  // the cause, or nil

	hint string
}

// Hint says what an operator can do; "" when there is nothing to add.
func (e *CompileError) Hint() string { return e.hint }

func (e *CompileError) Error() string { return "cannot compile module: " + e.Reason }

// Unwrap returns the cause.
func (e *CompileError) Unwrap() error { return e.Err }

// InterruptedError reports that the context ended before the guest did.
type InterruptedError struct {
	During  string // "start" while the instance was being prepared, "call" afterwards
	Printed string // what the guest printed up to then
	Err     error  // the context's error
}

func (e *InterruptedError) Error() string {
	return fmt.Sprintf("guest interrupted during %s: %v", e.During, e.Err)
}

// Unwrap returns the context's error, [context.DeadlineExceeded] or [context.Canceled].
func (e *InterruptedError) Unwrap() error { return e.Err }

// TrapError reports a guest that was ended by a fault of its own, or by a host function it misused.
type TrapError struct {
	Text  string // what happened, one line
	Stack string // the guest's functions, innermost first, for a log; may be empty
}

func (e *TrapError) Error() string { return e.Text }

// ExitedError reports a guest that ended itself through WASI's proc_exit, be it with code 0.
type ExitedError struct {
	Code uint32
}

func (e *ExitedError) Error() string { return fmt.Sprintf("guest exited with code %d", e.Code) }

// Trap ends the running guest; its call returns a *[TrapError] with the formatted text. Only a host
// function may use it, on the goroutine it was called on.
func Trap(format string, args ...any) {
	panic(&TrapError{Text: fmt.Sprintf(format, args...)})
}
