package sandbox

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/tetratelabs/wazero/sys"
)

// During of an [InterruptedError].
const (
	duringStart = "start"
	duringCall  = "call"
)

// failed turns what wazero returned from guest code into this package's errors. That the context
// ended is read from the context alone: a guest can exit with the very codes wazero uses for it.
func (i *Instance) failed(during string, err error) error {
	if err == nil {
		return nil
	}
	if ctxErr := ended(i.ctx); ctxErr != nil {
		return &InterruptedError{During: during, Printed: i.call.Printed.String(), Err: ctxErr}
	}
	var exit *sys.ExitError
	if errors.As(err, &exit) {
		return &ExitedError{Code: exit.ExitCode()}
	}
	text, stack := splitTrap(err)
	var trap *TrapError
	if errors.As(err, &trap) { // one of ours, with wazero's account of where
		if trap.Stack != "" {
			stack = trap.Stack + "\n" + stack
		}
		return &TrapError{Text: trap.Text, Stack: stack}
	}
	return &TrapError{Text: "wasm trap: " + text, Stack: stack}
}

// splitTrap takes wazero's rendering of a trap apart: its cause on the first line, then the guest's
// stack.
func splitTrap(err error) (text, stack string) {
	const stackHeading = "wasm stack trace:\n"
	text, stack, _ = strings.Cut(err.Error(), "\n")
	text = strings.TrimPrefix(text, "wasm error: ")
	text = strings.TrimSuffix(text, " (recovered by wazero)")
	return text, strings.TrimPrefix(stack, stackHeading)
}

// caught runs f, returning a panic as an error. wazero recovers from what happens inside a call;
// this is for the steps around calls, which work on foreign modules too.
func caught(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &TrapError{Text: fmt.Sprintf("panic: %v", r), Stack: string(debug.Stack())}
		}
	}()
	return f()
}
