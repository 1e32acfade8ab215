package policy

import (
	"context"
	"fmt"

	"policy-server/admission"
	"policy-server/runtime"
)

// dialect is the documents that a guest protocol speaks: what a guest is asked about settings and
// requests, how its answers are read, and in which words its failures reach a client. A dialect
// keeps nothing and is safe for concurrent use.
type dialect interface {
	// protocol is how the runtime talks with guests of this dialect.
	protocol() runtime.Protocol

	// checkSettings finds out whether settings are good for a guest, of which it may ask through
	// ask. The error is a *SettingsError.
	checkSettings(settings []byte, ask func(runtime.Question) (runtime.Answer, error)) error

	// question returns what to ask p's guest about request. Its error is one that failure knows, or
	// that of ctx.
	question(ctx context.Context, p *Policy, request *admission.Request) (runtime.Question, error)

	// verdict reads a guest's answer. One that cannot be read is a refusal with code 500. Without
	// patch it is enough to tell that the object is mutated. The error is that of ctx; turn, which
	// may be nil, is asked every so often who goes first.
	verdict(ctx context.Context, request *admission.Request, answer []byte, patch bool, turn admission.Turn) (admission.Response, error)

	// failure words the refusal of a request that err kept from an answer; false when that is not
	// the guest's failure, nor any that clients know. It is not asked about contexts that ended.
	failure(err error) (message string, known bool)
}

// dialectOf returns the dialect of the modules with an execution mode.
func dialectOf(mode ExecutionMode) (dialect, error) {
	switch mode {
	case ExecuteWaPC:
		return kubewarden{
			runs:               runtime.WaPC,
			unreadable:         "invalid response from policy: %v",
			unreadableSettings: "error: InvalidResponseWithError(%v)",
		}, nil
	case ExecuteWASI:
		return kubewarden{
			runs:               runtime.WASI,
			unreadable:         "Cannot deserialize policy validation response: %v",
			unreadableSettings: "Cannot deserialize settings validation response: %v",
		}, nil
	}
	return nil, fmt.Errorf("execution mode %q is not supported yet; supported: %s, %s", mode, ExecuteWaPC, ExecuteWASI)
}
