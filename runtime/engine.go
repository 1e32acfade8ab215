package runtime

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	"policy-server/runtime/sandbox"
)

// Engine compiles modules. Goroutines may share it.
type Engine struct {
	sandboxes map[Protocol]*sandbox.Engine
	cache     *sandbox.CodeCache // nil: none

	mu     sync.Mutex
	codes  map[codeKey]*sharedCode
	shared uint64 // compiled modules that were there for whoever asked
}

// Open starts an engine with the limits of cfg; they are its only source of errors that a caller
// can mend. The caller closes the engine.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	limits, err := cfg.limits()
	if err != nil {
		return nil, err
	}
	e := &Engine{sandboxes: map[Protocol]*sandbox.Engine{}, codes: map[codeKey]*sharedCode{}}
	if cfg.CodeFolder != "" {
		if e.cache, err = sandbox.OpenCodeCache(cfg.CodeFolder); err != nil {
			cfg.warn(fmt.Errorf("modules are compiled at each start, and in this process: %w", err))
		}
	}
	shared := sandbox.NewShared(sandbox.NewIdleMemory(cmp.Or(cfg.IdleMemory, defaultIdleMemory)), e.cache, cfg.Compiler, cfg.warn)
	for name, p := range protocols() {
		engine, err := sandbox.Open(ctx, limits, p.abi, shared)
		if err != nil {
			return nil, fmt.Errorf("open engine for %s: %w", name, errors.Join(err, e.Close(ctx)))
		}
		e.sandboxes[name] = engine
	}
	return e, nil
}

// Compile compiles a module, which can take from milliseconds to a minute by its size. The same
// bytes are compiled once for all who ask for them, at the same time or later. It does not keep the
// bytes. The error is a *[CompileError], [ErrClosed], that of ctx, or says that p is unknown. The
// caller closes the module, or the engine with all its modules.
func (e *Engine) Compile(ctx context.Context, module []byte, p Protocol) (*Module, error) {
	engine, known := e.sandboxes[p]
	if !known {
		return nil, fmt.Errorf("protocol %q: unknown; known: %s, %s", p, WaPC, WASI)
	}
	return e.share(codeKey{p, sha256.Sum256(module)}, func() (*sandbox.Program, error) { return engine.Compile(ctx, module) })
}

// EngineStats is how an engine has come by compiled code so far.
type EngineStats struct {
	Compiled uint64 // modules that were compiled
	Found    uint64 // modules whose code was found in Config.CodeFolder
	Shared   uint64 // modules whose code somebody else had compiled or found in this process
	Damaged  uint64 // entries of Config.CodeFolder that were found damaged, and removed
}

// Stats returns the engine's statistics.
func (e *Engine) Stats() EngineStats {
	e.mu.Lock()
	s := EngineStats{Shared: e.shared}
	e.mu.Unlock()
	var loaded uint64
	for _, engine := range e.sandboxes {
		compiles := engine.Stats()
		loaded += compiles.Loaded
		s.Compiled += compiles.Compiled
	}
	if e.cache != nil {
		s.Damaged = uint64(e.cache.Damaged())
	}
	s.Found = loaded - min(loaded, s.Compiled) // a module may be compiled and not yet counted as loaded
	return s
}

// Close waits for running calls to end, refusing new ones, and frees the engine with all its
// modules. When ctx ends first its error is returned, something is left unfreed, and Close may be
// called again.
func (e *Engine) Close(ctx context.Context) error {
	var errs []error
	for _, engine := range e.sandboxes {
		errs = append(errs, engine.Close(ctx))
	}
	if err := errors.Join(errs...); err != nil || e.cache == nil {
		return err
	}
	return e.cache.Close(ctx)
}
