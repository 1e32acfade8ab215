package wasi

import (
	"context"
	"fmt"

	"policy-server/runtime/sandbox"
)

// programName is the first of a guest's arguments. The second is the operation; JavaScript guests insist on exactly two.
const programName = "policy.wasm"

// ABI is what is asked of commands. Their requests go on from an image; settings are checked once, and in a new instance.
func ABI() sandbox.ABI {
	return sandbox.ABI{
		Entry: sandbox.Entry{
			Name:    "_start",
			Missing: "cannot find `_start` function inside of module: WASI guests must be commands, not reactors",
		},
		Hosts:         hostModules(),
		Command:       []string{programName, "validate"},
		MissingMemory: "cannot find 'mem' export",
	}
}

// Run runs a guest once, in an instance from start that has these limits, for the operation "validate" or
// "validate_settings". The payload is only read. Errors: *[ExitError], *[sandbox.InterruptedError], [sandbox.ErrClosed],
// and one for any other operation.
func Run(
	ctx context.Context, limits sandbox.Limits, start sandbox.Starter, operation string, payload []byte, host sandbox.HostCall,
) (sandbox.Answer, error) {
	argument, err := argumentOf(operation)
	if err != nil {
		return sandbox.Answer{}, err
	}
	s := &session{
		host:        sandbox.HostCalls{Serve: host, Limit: limits.HostCall},
		payloadSize: len(payload),
		stdout:      stdout{limit: limits.Output},
		stderr:      sandbox.NewTranscript(limits.Print),
	}
	s.stdin.append(payload)
	instance, err := start(ctx, sandbox.Process{
		Args:   []string{programName, argument},
		Stdin:  &s.stdin,
		Stdout: &s.stdout,
		Stderr: s.stderr,

		Session: s,
	})
	if err != nil {
		return s.outcome(err)
	}
	defer instance.Release()
	_, err = instance.Call(ctx)
	return s.outcome(err)
}

// argumentOf returns how the command line spells operation.
func argumentOf(operation string) (string, error) {
	switch operation {
	case "validate":
		return "validate", nil
	case "validate_settings":
		return "validate-settings", nil
	}
	return "", fmt.Errorf("operation %q: not known to WASI policies; known: validate, validate_settings", operation)
}
