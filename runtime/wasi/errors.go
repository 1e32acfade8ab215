package wasi

import "fmt"

// ExitError reports a run that ended with an exit code other than 0 or with a trap, or that
// answered too much.
type ExitError struct {
	Code   uint32 // the exit code; 0 when Trap is set
	Stderr string // what the guest printed to stderr, blanks trimmed at both ends; may be empty
	Trap   string // what ended the guest, when it was not an exit
	Stack  string // where a trap happened, for a log; may be empty
}

func (e *ExitError) Error() string {
	if e.Trap != "" {
		return e.withStderr("policy trapped: " + e.Trap)
	}
	return e.withStderr(fmt.Sprintf("policy exited with code %d", e.Code))
}

func (e *ExitError) withStderr(text string) string {
	if e.Stderr == "" {
		return text
	}
	return text + ": " + e.Stderr
}
