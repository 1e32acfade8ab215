package policy

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.uber.org/zap"

	"policy-server/admission"
	"policy-server/runtime"
)

// interrupted is what a client sees of an evaluation that took too long, in every execution mode.
const interrupted = "Policy execution interrupted because it exceeded the allowed execution time"

// evaluate lets the guest judge the request and returns its verdict, before mode and constraints shape it.
//
// A guest that fails (a trap, an answer that cannot be read, the deadline) refuses the request with code 500: that is
// still a verdict. The error is for an evaluation that could not begin, or whose caller went away.
func (p *Policy) evaluate(ctx context.Context, event *Event) (admission.Response, error) {
	request := event.Request
	if p.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.limit)
		defer cancel()
	}
	host := p.host()
	output, err := p.guest.Call(ctx, runtime.Validate, request.Payload(p.Settings), host.Call)
	event.HostCalls += host.Calls()
	p.logPrinted(output, err)
	if err != nil {
		return p.failed(request, err)
	}
	answer, err := admission.ParseAnswer(output.Payload)
	if err != nil {
		return internalError(request, p.undecodable("policy", err)), nil
	}
	response, err := admission.Respond(request, answer)
	if err != nil {
		return internalError(request, fmt.Sprintf("Cannot convert policy validation response: %v", err)), nil
	}
	return response, nil
}

// failed turns a guest's failure into the refusal clients know.
func (p *Policy) failed(request *admission.Request, err error) (admission.Response, error) {
	var call *runtime.CallError
	var exit *runtime.ExitError
	switch {
	case errors.Is(err, context.Canceled):
		return admission.Response{}, err
	case errors.Is(err, context.DeadlineExceeded):
		p.log.Error("policy execution time exceeded", zap.String("policy_id", string(p.ID)), zap.Error(err))
		return admission.Reject(request.UID(), interrupted, 500), nil
	case errors.As(err, &call):
		return internalError(request, "Guest call failure: "+call.Reason), nil
	case errors.As(err, &exit):
		return admission.Reject(request.UID(), exitMessage(exit), 500), nil
	}
	return admission.Response{}, err
}

func internalError(request *admission.Request, reason string) admission.Response {
	return admission.Reject(request.UID(), "internal server error: "+reason, 500)
}

// undecodable words an answer of the guest that is not what it should be; about is "policy" or "settings".
func (p *Policy) undecodable(about string, err error) string {
	switch wasi := p.module.metadata.ExecutionMode == ExecuteWASI; {
	case wasi && about == "policy":
		return fmt.Sprintf("Cannot deserialize policy validation response: %v", err)
	case wasi:
		return fmt.Sprintf("Cannot deserialize settings validation response: %v", err)
	case about == "policy":
		return fmt.Sprintf("invalid response from policy: %v", err)
	default:
		return fmt.Sprintf("error: InvalidResponseWithError(%v)", err)
	}
}

// exitMessage is what a WASI guest wrote to stderr before it failed, or how it ended when it wrote nothing.
func exitMessage(exit *runtime.ExitError) string {
	switch {
	case exit.Stderr != "":
		return exit.Stderr
	case exit.Trap != "":
		return "policy trapped: " + exit.Trap
	}
	return fmt.Sprintf("policy exited with code %d", exit.Code)
}

// logPrinted logs what a guest wrote to its standard streams: the only diagnosis some toolchains give before a trap.
func (p *Policy) logPrinted(output runtime.Answer, err error) {
	printed := output.Printed
	var call *runtime.CallError
	var start *runtime.StartError
	switch {
	case errors.As(err, &call):
		printed = call.Printed
	case errors.As(err, &start):
		printed = start.Printed
	}
	if printed = strings.TrimSpace(printed); printed != "" {
		p.log.Warn("policy wrote to its standard output or error", zap.String("policy_id", string(p.ID)), zap.String("printed", printed))
	}
}
