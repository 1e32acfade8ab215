package runtime

import (
	"context"
	"errors"
	"fmt"

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

// Engine compiles modules. Goroutines may share it.
type Engine struct {
	wapc *wapc.Engine
	wasi *wasi.Engine
}

// Open starts an engine with the limits of cfg; they are its only source of errors that a caller can mend. The caller
// closes the engine.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	limits, err := cfg.limits()
	if err != nil {
		return nil, err
	}
	e := &Engine{}
	if e.wapc, err = wapc.Open(ctx, limits); err != nil {
		return nil, fmt.Errorf("open waPC engine: %w", err)
	}
	if e.wasi, err = wasi.Open(ctx, limits); err != nil {
		return nil, fmt.Errorf("open WASI engine: %w", errors.Join(err, e.wapc.Close(ctx)))
	}
	return e, nil
}

// Compile compiles a module, which can take from milliseconds to a minute by its size. It does not keep the bytes.
// The error is a *[CompileError], [ErrClosed], or says that p is unknown. The caller closes the module, or the engine
// with all its modules.
func (e *Engine) Compile(ctx context.Context, module []byte, p Protocol) (*Module, error) {
	var (
		guest guest
		err   error
	)
	switch p {
	case WaPC:
		guest, err = e.wapc.Compile(ctx, module)
	case WASI:
		guest, err = e.wasi.Compile(ctx, module)
	default:
		return nil, fmt.Errorf("protocol %q: unknown; known: %s, %s", p, WaPC, WASI)
	}
	if err != nil {
		return nil, err
	}
	return &Module{guest}, nil
}

// Close waits for running calls to end, refusing new ones, and frees the engine with all its modules. When ctx ends
// first its error is returned, something is left unfreed, and Close may be called again.
func (e *Engine) Close(ctx context.Context) error {
	return errors.Join(e.wapc.Close(ctx), e.wasi.Close(ctx))
}
