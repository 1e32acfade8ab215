package wapc

// StartError reports a guest that could not be instantiated or whose init functions failed.
type StartError struct {
	Reason  string // begins with "Initialization failed: "
	Printed string // what the guest printed up to then
	Stack   string // where a trap happened, for a log; may be empty
}

func (e *StartError) Error() string { return e.Reason }

// GuestOutput returns what the guest printed.
func (e *StartError) GuestOutput() string { return e.Printed }

// CallError reports a guest that did not answer: it failed the call, trapped, answered too much or
// not at all.
type CallError struct {
	Reason  string // the guest's own error text, untrimmed, or what happened to it
	Printed string // what the guest printed up to then
	Stack   string // where a trap happened, for a log; may be empty
}

func (e *CallError) Error() string { return "Guest call failure: " + e.Reason }

// GuestOutput returns what the guest printed.
func (e *CallError) GuestOutput() string { return e.Printed }

// The reasons of a [CallError] when the guest gave none.
const (
	reasonNoResponse = "No error message OR response set for call success"
	reasonNoError    = "No error message set for call failure"
)
