package policy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"policy-server/admission"
	"policy-server/runtime/turns"
)

// Origin says through which endpoint a request came.
type Origin int

// The origins of a request.
const (
	FromWebhook Origin = iota // /validate and /validate_raw: the verdict is shaped by mode and constraints
	FromAudit                 // /audit: the policy's own verdict, for the audit scanner's report
)

// UnknownError reports a request for a policy that is not served.
type UnknownError struct{ ID ID }

func (e *UnknownError) Error() string { return fmt.Sprintf("unknown policy: %s", e.ID) }

// BusyError reports a request that was not evaluated, because there is more to do than can be done
// in time. Err is a *turns.RefusedError, or the context's when the request had begun and its guest
// got no place.
type BusyError struct {
	Policy ID
	Err    error
}

func (e *BusyError) Error() string {
	var refused *turns.RefusedError
	if errors.As(e.Err, &refused) {
		return refused.Error()
	}
	return fmt.Sprintf("policy %q is too busy: its guest got no place in time: %v", e.Policy, e.Err)
}

func (e *BusyError) Unwrap() error { return e.Err }

// Hint says what the operator can do; "" when there is nothing to add.
func (e *BusyError) Hint() string {
	var refused *turns.RefusedError
	if errors.As(e.Err, &refused) {
		return refused.Hint()
	}
	return ""
}

// evaluable is what the evaluator needs of a policy.
type evaluable interface {
	// evaluate returns the policy's own verdict on event.Request, and counts in event what that
	// took. A guest that fails is a verdict; the error is for a request that got none.
	evaluate(ctx context.Context, event *Event) (admission.Response, error)
	// shape makes of the verdict what the client is told, by mode and constraints.
	shape(verdict admission.Response) admission.Response
	// begin lets an evaluation of event begin, once there is room for it; nil where evaluations
	// share with none. The caller ends it.
	begin(ctx context.Context, event *Event) (*turns.Evaluation, error)
	// mode is the one the operator chose.
	mode() Mode
	// hold adds an owner, and release gives the policy up: the last owner closes it.
	hold()
	release(ctx context.Context) error
}

// EvaluatorConfig configures an Evaluator. The zero value works.
type EvaluatorConfig struct {
	AlwaysAccept string   // namespace whose requests are accepted without being evaluated; "" for none
	Observe      Observer // told of each evaluation; may be nil
}

// Evaluator answers requests with the policies of a Live. It is safe for concurrent use.
type Evaluator struct {
	live   *Live
	config EvaluatorConfig
}

// NewEvaluator returns an evaluator for what live serves.
func NewEvaluator(live *Live, config EvaluatorConfig) *Evaluator {
	return &Evaluator{live: live, config: config}
}

// Evaluate answers request with policy id. A refusal is a response, also one for a policy that
// could not be loaded or a guest that failed; the error is for a request that got no verdict:
// *UnknownError, *BusyError, an instance that could not be made, or ctx's error when the client
// went away.
func (e *Evaluator) Evaluate(ctx context.Context, id ID, request *admission.Request, origin Origin) (admission.Response, error) {
	set := e.live.acquire()
	if set == nil {
		return admission.Response{}, &UnknownError{id}
	}
	defer set.release()
	now, known := set.entries[id]
	if !known {
		return admission.Response{}, &UnknownError{id}
	}
	event := &Event{Policy: id, Origin: origin, Request: request}
	e.answer(ctx, now, event)
	if e.config.Observe != nil {
		e.config.Observe(event)
	}
	return event.Response, event.Err
}

// answer settles the verdict, the response or the error of event.
func (e *Evaluator) answer(ctx context.Context, now entry, event *Event) {
	if now.serves != nil {
		event.Mode = now.serves.mode()
	}
	switch {
	case e.alwaysAccepts(event.Request):
		event.Verdict = admission.Response{UID: event.Request.UID(), Allowed: true}
		event.Response = event.Verdict
	case now.serves == nil: // neither mode nor message of the policy apply: nothing was evaluated
		event.Failure = now.failure
		event.Verdict = admission.Reject(event.Request.UID(), now.failure.refusal(), 500)
		event.Response = event.Verdict
	default:
		event.Err = e.evaluate(ctx, now.serves, event)
	}
}

// evaluate has p judge the request, once there is room for it and a place.
func (e *Evaluator) evaluate(ctx context.Context, p evaluable, event *Event) error {
	began := time.Now()
	turn, err := p.begin(ctx, event)
	if turn != nil {
		defer turn.End()
	}
	placed := time.Now()
	event.Waited = placed.Sub(began)
	if err != nil {
		return &BusyError{event.Policy, err}
	}
	event.turn = turn
	verdict, err := p.evaluate(ctx, event)
	event.Ran = time.Since(placed)
	if err != nil {
		return fmt.Errorf("policy %q: %w", event.Policy, err)
	}
	verdict = bounded(verdict)
	event.Verdict, event.Response = verdict, verdict
	if event.Origin == FromWebhook {
		event.Response = p.shape(verdict)
	}
	return nil
}

func (e *Evaluator) alwaysAccepts(request *admission.Request) bool {
	namespace, ok := request.Namespace()
	return ok && e.config.AlwaysAccept != "" && namespace == e.config.AlwaysAccept
}
