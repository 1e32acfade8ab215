package turns

import "fmt"

// Reason is why something was refused.
type Reason string

// The reasons.
const (
	QueueFull Reason = "queue full"  // as many requests wait as may
	NotInTime Reason = "not in time" // it did not begin before its client gives up
	NotGrown  Reason = "no memory"   // an instance asked for more while others held the rest
)

// RefusedError reports a request that was not evaluated: the server has more to do than it can.
type RefusedError struct {
	Reason  Reason
	Flow    string // the policy
	Begun   int    // its evaluations that have begun and not ended
	Waiting int    // its host calls that wait outside
	Queued  int    // its requests that wait to begin
	Others  int    // evaluations of other policies that have begun and not ended
}

// idle tells whether there was nothing that could have been in the request's way.
func (e *RefusedError) idle() bool { return e.Reason == NotInTime && e.Begun+e.Queued+e.Others == 0 }

func (e *RefusedError) Error() string {
	if e.idle() {
		return fmt.Sprintf("policy %q was not asked: its client gives up before an answer could be there", e.Flow)
	}
	why := "it could not begin before its client gives up"
	switch e.Reason {
	case QueueFull:
		why = "too many requests wait already"
	case NotGrown:
		why = "its guest wanted more memory than others leave"
	}
	return fmt.Sprintf("policy %q is too busy: %s; %d of its evaluations run, %d of these wait in host calls, %d requests wait, "+
		"%d evaluations of other policies run", e.Flow, why, e.Begun, e.Waiting, e.Queued, e.Others)
}

// Hint says what the operator can do.
func (e *RefusedError) Hint() string {
	if e.idle() {
		return "let the client wait longer (timeoutSeconds of a webhook)"
	}
	if e.Reason == NotGrown {
		return "give the server more memory or replicas; --memory-budget is what all instances may take together"
	}
	if e.Waiting > 0 && e.Waiting*2 >= e.Begun {
		return "look at what the policy's host calls wait for (a registry, the API server), or give it more evaluations (--evaluations-per-policy)"
	}
	return "give the server more processors or replicas, or the policy less to do; --evaluations-per-policy bounds what it may take"
}

// refuse returns the error of a request of f, and counts it. The caller holds mu.
func (f *Flow) refuse(reason Reason) *RefusedError {
	f.count(func(c *counts) { c.refused[reason.index()]++ })
	return f.refusal(reason)
}

// refusal returns the error of a request of f. The caller holds mu.
func (f *Flow) refusal(reason Reason) *RefusedError {
	s := f.scheduler
	return &RefusedError{
		Reason: reason, Flow: f.name, Begun: f.usage.begun, Waiting: f.usage.calling, Queued: f.usage.queued,
		Others: s.total.begun - f.usage.begun,
	}
}
