package hostcalls

import (
	"context"
	"fmt"
	"maps"

	"go.uber.org/zap"
)

// Capability answers one kind of host call. It must obey ctx, be safe for concurrent use, and return within the
// evaluation's deadline; its error reaches the guest as text, so it must hold no secret.
type Capability func(ctx context.Context, payload []byte) ([]byte, error)

// Dispatcher hands host calls to capabilities. It is immutable and safe for concurrent use.
type Dispatcher struct {
	capabilities map[Path]Capability
	log          *zap.Logger
}

// NewDispatcher returns a dispatcher for capabilities. A known path that is not among them fails when called.
func NewDispatcher(capabilities map[Path]Capability, log *zap.Logger) *Dispatcher {
	return &Dispatcher{capabilities: maps.Clone(capabilities), log: log}
}

// Caller makes the host calls of one evaluation.
type Caller struct {
	dispatcher *Dispatcher
	policy     string
	grants     Grants
	log        guestLog
}

// Evaluation returns the caller for one evaluation by policy, which has grants. One goroutine at a time may use it.
func (d *Dispatcher) Evaluation(policy string, grants Grants) *Caller {
	return &Caller{dispatcher: d, policy: policy, grants: grants, log: guestLog{left: maxLogLines}}
}

// Call makes one host call and returns what the guest gets: a payload, or an error whose text the guest sees.
//
// tracing/log always succeeds. Everything else is first checked against the grants, so that a policy cannot learn what
// exists beyond them; then an unknown operation or namespace, and whatever the capability reports, are errors.
func (c *Caller) Call(ctx context.Context, namespace, operation string, payload []byte) ([]byte, error) {
	path := join(namespace, operation)
	if path == "tracing/log" {
		c.log.write(c.dispatcher.log, c.policy, payload)
		return nil, nil
	}
	if namespace != "tracing" && !c.grants.Allow(path) {
		c.dispatcher.log.Error("Policy tried to use a host capability it doesn't have access to",
			zap.String("policy", c.policy), zap.String("capability", string(path)),
			zap.Stringer("allowed_capabilities", c.grants))
		return nil, &DeniedError{Path: path}
	}
	capability, ok := c.dispatcher.capabilities[path]
	if !ok {
		return nil, unknown(namespace, operation)
	}
	response, err := capability(ctx, payload)
	if err != nil {
		return nil, err
	}
	return response, nil
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

// FailureError reports a capability that was reached and failed. Its text is what guests of upstream's server have
// seen.
type FailureError struct{ Err error }

func (e *FailureError) Error() string { return "Callback evaluation failure: " + e.Err.Error() }
func (e *FailureError) Unwrap() error { return e.Err }
