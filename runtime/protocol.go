package runtime

import (
	"context"

	"policy-server/runtime/sandbox"
	"policy-server/runtime/wapc"
	"policy-server/runtime/wasi"
)

// Protocol is how host and guest talk.
type Protocol string

// The protocols.
const (
	WaPC Protocol = "wapc" // calls into a library; Rust, TinyGo and Swift guests
	WASI Protocol = "wasi" // one run of a command for each call; Go and JavaScript guests
)

// protocol is what a protocol asks of modules, and how it has a guest perform an operation.
type protocol struct {
	abi sandbox.ABI
	run func(ctx context.Context, limits sandbox.Limits, start sandbox.Starter, q Question, host HostCall) (Answer, error)
}

func protocols() map[Protocol]protocol {
	return map[Protocol]protocol{
		WaPC: {wapc.ABI(), wapc.Run},
		WASI: {wasi.ABI(), wasi.Run},
	}
}
