package policy

import (
	"errors"
	"fmt"
)

// Stage is a step in a policy's life at which loading can fail.
type Stage string

// The stages, in order.
const (
	StageFetch         Stage = "fetch"
	StageVerify        Stage = "verify"
	StageCompile       Stage = "compile"
	StageCheckSettings Stage = "check settings"
)

// LoadError reports a policy that cannot be served, and the stage of its life that failed.
type LoadError struct {
	Policy ID
	Module string // as written in the definition
	Stage  Stage
	Err    error
}

// Error names the policy and says why, in the words that scripts and tests of upstream's server
// look for.
func (e *LoadError) Error() string {
	switch e.Stage {
	case StageFetch:
		return fmt.Sprintf("Error while downloading policy '%s' from %s: %v", e.Policy, e.Module, e.Err)
	case StageVerify:
		return fmt.Sprintf("Policy '%s' cannot be verified: %v", e.Policy, e.Err)
	}
	return fmt.Sprintf("policy %q: %s: %v", e.Policy, e.Stage, e.Err)
}

func (e *LoadError) Unwrap() error { return e.Err }

// Hint says what an operator can do; "" when there is nothing to add.
func (e *LoadError) Hint() string {
	var hinted interface{ Hint() string }
	if errors.As(e.Err, &hinted) {
		return hinted.Hint()
	}
	return ""
}

// refusal is what a client is told that asks for the policy all the same.
func (e *LoadError) refusal() string {
	if e.Stage == StageCheckSettings {
		return e.Err.Error()
	}
	return fmt.Sprintf("bootstrap failure: %s: %v", e.Policy, e)
}

// SettingsError reports settings that a policy refuses, or could not judge.
type SettingsError struct{ Message string }

func (e *SettingsError) Error() string { return "Policy settings are invalid: " + e.Message }
