package policy

import (
	"context"
	"errors"
	"strings"

	"go.uber.org/zap"

	"policy-server/admission"
	"policy-server/hostcalls"
	"policy-server/runtime"
	"policy-server/runtime/turns"
)

// interrupted is what a client sees of an evaluation that took too long, in every execution mode.
const interrupted = "Policy execution interrupted because it exceeded the allowed execution time"

// evaluate lets the guest judge the request and returns its verdict, before mode and constraints
// shape it.
//
// A guest that fails (a trap, an answer that cannot be read, the deadline) refuses the request with
// code 500: that is still a verdict. The error is for an evaluation that could not begin, or whose
// caller went away.
func (p *Policy) evaluate(ctx context.Context, event *Event) (admission.Response, error) {
	request := event.Request
	ctx, cancel := p.limited(ctx)
	defer cancel()
	dialect := p.module.dialect
	question, err := dialect.question(ctx, p, request)
	if err != nil {
		return p.failed(request, err)
	}
	host := p.host()
	output, err := p.ask(ctx, question, host, event.turn)
	event.HostCalls += host.Calls()
	p.logPrinted(output, err)
	if err != nil {
		if starved := event.turn.Starved(); starved != nil {
			return admission.Response{}, &BusyError{p.ID, starved} // what others hold is not its fault
		}
		return p.failed(request, err)
	}
	var turn admission.Turn
	if event.turn != nil {
		turn = event.turn
	}
	verdict, err := dialect.verdict(ctx, request, output.Payload, p.tellsPatch(event.Origin), turn)
	if err != nil {
		return p.failed(request, err)
	}
	return verdict, nil
}

// ask calls the guest. With a turn, it has a place only while the guest runs.
func (p *Policy) ask(
	ctx context.Context, question runtime.Question, host *hostcalls.Caller, turn *turns.Evaluation,
) (runtime.Answer, error) {
	if turn == nil {
		return p.guest.Call(ctx, question, host.Call)
	}
	host.InTurn(turn)
	return p.guest.CallInTurn(ctx, question, host.Call, turn)
}

// limited bounds ctx by the limit of an evaluation.
func (p *Policy) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	if p.limit > 0 {
		return context.WithTimeout(ctx, p.limit)
	}
	return ctx, func() {}
}

// failed turns what kept a request from an answer into the refusal that clients know.
func (p *Policy) failed(request *admission.Request, err error) (admission.Response, error) {
	switch {
	case errors.Is(err, context.Canceled):
		return admission.Response{}, err
	case errors.Is(err, context.DeadlineExceeded):
		p.log.Error("policy execution time exceeded", zap.String("policy_id", string(p.ID)), zap.Error(err))
		return refuse(request, interrupted), nil
	}
	if message, known := p.module.dialect.failure(err); known {
		return refuse(request, message), nil
	}
	return admission.Response{}, err
}

// refuse refuses a request that got no answer.
func refuse(request *admission.Request, message string) admission.Response {
	return admission.Reject(request.UID(), message, 500)
}

func internalError(reason string) string { return "internal server error: " + reason }

// logPrinted logs what a guest wrote to its standard streams: the only diagnosis some toolchains
// give before a trap.
func (p *Policy) logPrinted(output runtime.Answer, err error) {
	printed := output.Printed
	var failure interface{ GuestOutput() string }
	if errors.As(err, &failure) {
		printed = failure.GuestOutput()
	}
	if printed = strings.TrimSpace(printed); printed != "" {
		p.log.Warn("policy wrote to its standard output or error", zap.String("policy_id", string(p.ID)), zap.String("printed", printed))
	}
}
