package runtime

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

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

// Engine compiles modules. Goroutines may share it.
type Engine struct {
	wapc    *wapc.Engine
	wasi    *wasi.Engine
	cache   *sandbox.CodeCache // nil: none
	damaged int                // entries the cache had to remove

	mu    sync.Mutex
	codes map[codeKey]*sharedCode
}

// Open starts an engine with the limits of cfg; they are its only source of errors that a caller can mend. The caller
// closes the engine.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	limits, err := cfg.limits()
	if err != nil {
		return nil, err
	}
	e := &Engine{codes: map[codeKey]*sharedCode{}}
	if cfg.CodeFolder != "" {
		if e.cache, e.damaged, err = sandbox.OpenCodeCache(cfg.CodeFolder); err != nil {
			return nil, err
		}
	}
	if e.wapc, err = wapc.Open(ctx, limits, e.cache); err != nil {
		return nil, fmt.Errorf("open waPC engine: %w", err)
	}
	if e.wasi, err = wasi.Open(ctx, limits, e.cache); err != nil {
		return nil, fmt.Errorf("open WASI engine: %w", errors.Join(err, e.wapc.Close(ctx)))
	}
	return e, nil
}

// Compile compiles a module, which can take from milliseconds to a minute by its size. The same bytes are compiled
// once for all who ask for them, at the same time or later. It does not keep the bytes. The error is a *[CompileError],
// [ErrClosed], or says that p is unknown. The caller closes the module, or the engine with all its modules.
func (e *Engine) Compile(ctx context.Context, module []byte, p Protocol) (*Module, error) {
	return e.share(codeKey{p, sha256.Sum256(module)}, func() (protocolModule, error) {
		switch p {
		case WaPC:
			return e.wapc.Compile(ctx, module)
		case WASI:
			return e.wasi.Compile(ctx, module)
		}
		return nil, fmt.Errorf("protocol %q: unknown; known: %s, %s", p, WaPC, WASI)
	})
}

// Damaged returns how many entries of Config.CodeFolder were found damaged, and removed, when the engine was opened.
func (e *Engine) Damaged() int { return e.damaged }

// Close waits for running calls to end, refusing new ones, and frees the engine with all its modules. When ctx ends
// first its error is returned, something is left unfreed, and Close may be called again.
func (e *Engine) Close(ctx context.Context) error {
	if err := errors.Join(e.wapc.Close(ctx), e.wasi.Close(ctx)); err != nil || e.cache == nil {
		return err
	}
	return e.cache.Close(ctx)
}
