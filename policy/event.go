package policy

import (
	"time"

	"policy-server/admission"
	"policy-server/runtime/turns"
)

// Event is what an evaluation has come to, told once it is over. An observer may read
// everything it points to until the observer returns, and must not change or keep it.
type Event struct {
	Policy  ID
	Mode    Mode // "" when no version of the policy serves
	Origin  Origin
	Request *admission.Request

	// Verdict is the policy's own, before mode and constraints shaped it; Response is what the
	// client is told. Both are of no use when Err is set: the request got no verdict then.
	Verdict, Response admission.Response
	Err               error
	// Failure is why no version of the policy serves: the request was refused for it, and nothing
	// was evaluated.
	Failure *LoadError

	Waited    time.Duration // for a place among the evaluations in flight
	Ran       time.Duration // from there to the verdict
	HostCalls int           // made by the guest, whatever became of them

	turn *turns.Evaluation // nil: it shares with none
}

// Observer is told of evaluations as they end, on the goroutine of each: it must be quick and safe
// for concurrent use.
type Observer func(*Event)
