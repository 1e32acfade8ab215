package hostcalls

import (
	"context"
	"fmt"

	"go.uber.org/zap"
)

// Capability is how the host answers one kind of host call. Capabilities are safe for concurrent
// use.
type Capability struct {
	Path       Path
	Understand Understanding
}

// Understanding reads a payload. It reaches nothing: Request.Perform does what the call is for, so
// that the dispatcher can check what it would read, and a session can record what is asked, in
// between. The error is the decoder's and goes to the guest as it is.
type Understanding func(payload []byte) (Request, error)

// Request is a host call whose payload is understood.
type Request struct {
	// Reads is the kind of Kubernetes object the call would read, which the policy must have been
	// granted; the zero value for calls that read none.
	Reads Resource

	// Local says that Perform waits for nobody outside.
	Local bool

	// Question is what a session file says of the call.
	Question Question

	// Perform makes the call. It must obey ctx and return within the evaluation's deadline. Its
	// answer may be shared and is not written to; its error reaches the guest as text, so it must
	// hold no secret.
	Perform func(ctx context.Context) ([]byte, error)
}

// Performer performs host calls that are understood and allowed. A session stands in for the one
// that makes them.
type Performer func(ctx context.Context, request Request) ([]byte, error)

// Dispatcher hands host calls to capabilities. It is immutable and safe for concurrent use.
type Dispatcher struct {
	capabilities map[Path]Capability
	perform      Performer // every host call of every policy goes through it
	log          *zap.Logger
}

// NewDispatcher returns a dispatcher for capabilities. A known path that is not among them fails
// when called.
func NewDispatcher(capabilities []Capability, log *zap.Logger) *Dispatcher {
	d := &Dispatcher{capabilities: map[Path]Capability{}, log: log}
	d.perform = func(ctx context.Context, request Request) ([]byte, error) { return request.Perform(ctx) }
	for _, capability := range capabilities {
		d.capabilities[capability.Path] = capability
	}
	return d
}

// With returns a dispatcher that decides as d does which calls are made, and has them performed by
// what through makes of d's Performer. Calls that are denied or not understood, and the guest's
// log, are not performed.
func (d *Dispatcher) With(through func(next Performer) Performer) *Dispatcher {
	changed := *d
	changed.perform = through(d.perform)
	return &changed
}

// Caller makes the host calls of one evaluation.
type Caller struct {
	dispatcher *Dispatcher
	policy     string
	grants     Grants
	resources  []Resource
	log        guestLog
	denials    denials
	calls      int
	turn       Turn // nil: nothing is given up
}

// Turn is what an evaluation gives up while a host call waits for somebody outside: its place among
// those that compute (package turns). Park may wait before the call may begin. After nil, Unpark
// takes the place again. The errors are the context's.
type Turn interface {
	Park(ctx context.Context) error
	Unpark(ctx context.Context) error
}

// Evaluation returns the caller for one evaluation by policy, which has grants and may read
// resources of the cluster. One goroutine at a time may use it.
func (d *Dispatcher) Evaluation(policy string, grants Grants, resources []Resource) *Caller {
	return &Caller{
		dispatcher: d, policy: policy, grants: grants, resources: resources,
		log: guestLog{left: maxLogLines}, denials: denials{left: maxDenials},
	}
}

// Call makes one host call and returns what the guest gets: a payload, or an error whose text the
// guest sees.
//
// tracing/log always succeeds. Everything else is first checked against the grants, so that a
// policy cannot learn what exists beyond them; then an unknown operation or namespace, a payload
// that is not understood, a kind of Kubernetes object that was not granted (*ReadDeniedError), and
// whatever the capability reports (*FailureError), are errors.
func (c *Caller) Call(ctx context.Context, namespace, operation string, payload []byte) ([]byte, error) {
	c.calls++
	path := join(namespace, operation)
	if path == "tracing/log" {
		c.log.write(c.dispatcher.log, c.policy, payload)
		return nil, nil
	}
	if namespace != "tracing" && !c.grants.Allow(path) {
		c.denials.write(c.dispatcher.log, c.policy, "Policy tried to use a host capability it doesn't have access to",
			deniedName("capability", string(path)), zap.Stringer("allowed_capabilities", c.grants))
		return nil, &DeniedError{Path: path}
	}
	capability, ok := c.dispatcher.capabilities[path]
	if !ok {
		return nil, unknown(namespace, operation)
	}
	request, err := capability.Understand(payload)
	if err != nil {
		return nil, err
	}
	return c.Ask(ctx, request)
}

// InTurn has turn parked around what may wait, from now on.
func (c *Caller) InTurn(turn Turn) { c.turn = turn }

// Calls returns how many host calls were made, whatever became of them.
func (c *Caller) Calls() int { return c.calls }

// Ask performs a request that is understood, as Call does from there on. It is also for what the
// host itself wants to know for a policy that cannot ask, such as the inventory of a Rego policy:
// the kinds must be granted, capabilities need not.
func (c *Caller) Ask(ctx context.Context, request Request) ([]byte, error) {
	if err := c.checkReads(request.Reads); err != nil {
		return nil, err
	}
	response, err := c.perform(ctx, request)
	if err != nil {
		return nil, &FailureError{Err: err}
	}
	return response, nil
}

// perform performs a request. The turn is parked around those that may wait.
func (c *Caller) perform(ctx context.Context, request Request) (response []byte, err error) {
	if c.turn == nil || request.Local {
		return c.dispatcher.perform(ctx, request)
	}
	if err := c.turn.Park(ctx); err != nil {
		return nil, err
	}
	defer func() { // also when the capability panics
		if late := c.turn.Unpark(ctx); late != nil {
			response, err = nil, late
		}
	}()
	return c.dispatcher.perform(ctx, request)
}

func unknown(namespace, operation string) error {
	path, inNamespace := join(namespace, operation), namespace == "tracing"
	for _, known := range Known() {
		if known == path {
			return fmt.Errorf("host capability %q is not supported yet", path)
		}
		inNamespace = inNamespace || known.segments()[0] == namespace
	}
	if inNamespace {
		return fmt.Errorf("unknown operation: %s", operation)
	}
	return fmt.Errorf("unknown namespace: %s", namespace)
}

// DeniedError reports a host call that the policy was not granted.
type DeniedError struct{ Path Path }

func (e *DeniedError) Error() string {
	return fmt.Sprintf("Policy has not been granted access to the '%s' host capability. The violation has been reported.", e.Path)
}

// FailureError reports a capability that was reached and failed. Its text is what guests of
// upstream's server have seen.
type FailureError struct{ Err error }

func (e *FailureError) Error() string { return "Callback evaluation failure: " + e.Err.Error() }
func (e *FailureError) Unwrap() error { return e.Err }
