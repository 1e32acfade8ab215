package wapc

import (
	"errors"
	"strings"

	"policy-server/runtime/sandbox"
)

// session is the host's side of one guest call. The guest's goroutine alone uses it.
type session struct {
	outputLimit int // bytes
	printed     *sandbox.Transcript

	question sandbox.Question

	// Nil means unset in these four; what is set may be empty.
	response, failure       []byte // the guest's
	hostResponse, hostError []byte // the last host call's
}

func sessionOf(i *sandbox.Instance) *session { return i.Session().(*session) }

// begin sets the question, and forgets what the guest said while it initialised.
func (s *session) begin(q sandbox.Question) {
	s.question = q
	s.response, s.failure = nil, nil
	s.hostResponse, s.hostError = nil, nil
}

// outcome tells what a call that returned to the host means.
func (s *session) outcome(returned uint64) (sandbox.Answer, error) {
	succeeded := uint32(returned) != 0
	switch {
	case succeeded && s.response != nil:
		return sandbox.Answer{Payload: s.response, Printed: s.printed.String()}, nil
	case s.failure != nil:
		return sandbox.Answer{}, s.callError(strings.ToValidUTF8(string(s.failure), "\uFFFD"))
	case succeeded:
		return sandbox.Answer{}, s.callError(reasonNoResponse)
	}
	return sandbox.Answer{}, s.callError(reasonNoError)
}

func (s *session) callError(reason string) *CallError {
	return &CallError{Reason: reason, Printed: s.printed.String()}
}

// startFault says what a failure to start means.
func (s *session) startFault(err error) error {
	text, stack, ok := ownFault(err)
	if !ok {
		return err
	}
	return &StartError{Reason: "Initialization failed: " + text, Printed: s.printed.String(), Stack: stack}
}

// callFault says what a call that did not return to the host means.
func (s *session) callFault(err error) error {
	text, stack, ok := ownFault(err)
	if !ok {
		return err
	}
	return &CallError{Reason: text, Printed: s.printed.String(), Stack: stack}
}

// ownFault tells whether err is the guest's own doing, and then what happened and where.
func ownFault(err error) (text, stack string, ok bool) {
	var (
		trap   *sandbox.TrapError
		exited *sandbox.ExitedError
	)
	switch {
	case errors.As(err, &trap):
		return trap.Text, trap.Stack, true
	case errors.As(err, &exited):
		return exited.Error(), "", true
	}
	return "", "", false
}
