package wasi

import (
	"context"
	"fmt"

	"policy-server/runtime/sandbox"
)

// programName is the first of a guest's arguments. The second is the operation; JavaScript guests
// insist on exactly two.
const programName = "policy.wasm"

// run is the function that is a command's run.
const run = "_start"

// ABI is what is asked of commands. Their requests go on from an image; settings are checked once,
// and in a new instance.
func ABI() sandbox.ABI {
	return sandbox.ABI{
		Kind: sandbox.Command{Args: []string{programName, "validate"}},
		Exports: []sandbox.Export{{
			Name:    run,
			Missing: "cannot find `_start` function inside of module: WASI guests must be commands, not reactors",
		}},
		Hosts:         hostModules(),
		MissingMemory: "cannot find 'mem' export",
	}
}

// Run runs a guest once, in an instance from start that has these limits, for the operation
// "validate" or "validate_settings". Errors: *[ExitError], *[sandbox.InterruptedError],
// [sandbox.ErrClosed], and one for any other operation.
func Run(
	ctx context.Context, limits sandbox.Limits, start sandbox.Starter, q sandbox.Question, host sandbox.HostCall,
) (sandbox.Answer, error) {
	argument, err := argumentOf(q.Operation)
	if err != nil {
		return sandbox.Answer{}, err
	}
	s := &session{
		unreadLimit: len(q.Payload) + limits.HostCall,
		stdout:      stdout{limit: limits.Output},
		stderr:      sandbox.NewTranscript(limits.Print),
	}
	s.stdin.append(q.Payload)
	instance, err := start(ctx, sandbox.Call{
		Args:    []string{programName, argument},
		Stdin:   &s.stdin,
		Stdout:  &s.stdout,
		Printed: s.stderr,
		Host:    host,
		Session: s,
	})
	if err != nil {
		return s.outcome(err)
	}
	defer instance.Release()
	_, err = instance.Call(ctx, run)
	return s.outcome(err)
}

// argumentOf returns how the command line spells operation.
func argumentOf(operation sandbox.Operation) (string, error) {
	switch operation {
	case "validate":
		return "validate", nil
	case "validate_settings":
		return "validate-settings", nil
	}
	return "", fmt.Errorf("operation %q: not known to WASI policies; known: validate, validate_settings", operation)
}
