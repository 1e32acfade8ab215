package wasi

import (
	"errors"
	"strings"

	"policy-server/runtime/sandbox"
)

// session is the host's side of one run. The guest's goroutine alone uses it.
type session struct {
	unreadLimit int // bytes of stdin that may be unread when the guest calls its host
	stdin       queue
	stdout      stdout
	stderr      *sandbox.Transcript
}

// outcome tells what the end of a run means; err is how the sandbox reports it.
func (s *session) outcome(err error) (sandbox.Answer, error) {
	var (
		exited *sandbox.ExitedError
		trap   *sandbox.TrapError
	)
	switch {
	case err == nil, errors.As(err, &exited) && exited.Code == 0:
		return sandbox.Answer{Payload: s.stdout.answer, Printed: s.stderr.String()}, nil
	case exited != nil:
		return sandbox.Answer{}, &ExitError{Code: exited.Code, Stderr: s.trimmedStderr()}
	case errors.As(err, &trap):
		return sandbox.Answer{}, &ExitError{Stderr: s.trimmedStderr(), Trap: trap.Text, Stack: trap.Stack}
	}
	return sandbox.Answer{}, err
}

func (s *session) trimmedStderr() string { return strings.TrimSpace(s.stderr.String()) }
