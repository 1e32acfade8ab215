package policy

import (
	"context"
	"fmt"

	"policy-server/admission"
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

// BusyError reports a request whose time was over before an evaluation could begin.
type BusyError struct {
	InFlight int // evaluations that may run at once
	Err      error
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("no evaluation could begin in time, %d are in flight: %v", e.InFlight, e.Err)
}

func (e *BusyError) Unwrap() error { return e.Err }

// Evaluator answers requests with the policies of a Live. It is safe for concurrent use.
type Evaluator struct {
	live     *Live
	accepted string        // namespace whose requests are always accepted; "" for none
	slots    chan struct{} // one for each evaluation that may be in flight
}

// NewEvaluator returns an evaluator for what live serves. At most inFlight evaluations, at least 1, run at once; others
// wait. Requests in namespace alwaysAccept, unless "", are accepted without being evaluated.
func NewEvaluator(live *Live, inFlight int, alwaysAccept string) *Evaluator {
	return &Evaluator{live: live, accepted: alwaysAccept, slots: make(chan struct{}, max(inFlight, 1))}
}

// Evaluate answers request with policy id. A refusal is a response, also one for a policy that could not be loaded or a
// guest that failed; the error is for a request that got no verdict: *UnknownError, *BusyError, an instance that could
// not be made, or ctx's error when the client went away.
func (e *Evaluator) Evaluate(ctx context.Context, id ID, request *admission.Request, origin Origin) (admission.Response, error) {
	set := e.live.acquire()
	if set == nil {
		return admission.Response{}, &UnknownError{id}
	}
	defer set.release()
	p, failure := set.policies[id], set.failures[id]
	switch {
	case p == nil && failure == nil:
		return admission.Response{}, &UnknownError{id}
	case e.alwaysAccepts(request):
		return admission.Response{UID: request.UID(), Allowed: true}, nil
	case failure != nil: // neither mode nor message of the policy apply: nothing was evaluated
		return admission.Reject(request.UID(), failure.refusal(), 500), nil
	}
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	case <-ctx.Done():
		return admission.Response{}, &BusyError{cap(e.slots), ctx.Err()}
	}
	response, err := p.evaluate(ctx, request)
	if err != nil {
		return admission.Response{}, fmt.Errorf("policy %q: %w", id, err)
	}
	if origin == FromAudit {
		return response, nil
	}
	return p.shape(response), nil
}

func (e *Evaluator) alwaysAccepts(request *admission.Request) bool {
	namespace, ok := request.Namespace()
	return ok && e.accepted != "" && namespace == e.accepted
}
