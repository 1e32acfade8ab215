package sandbox

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"
	goruntime "runtime"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"
)

// machineCode returns a module's compiled code, and whether the cache had it. What it has not is
// compiled in a process of its own, or in this one where none can be started; and what cannot be
// written into the cache is compiled for this process alone. Without a compiler nothing is compiled
// elsewhere. The error is a *[CompileError] or that of ctx.
func (e *Engine) machineCode(ctx context.Context, compiler *Compiler, code []byte) (compiled wazero.CompiledModule, found bool, err error) {
	cache := e.shared.cache
	if cache == nil {
		compiled, err = e.compileUncached(ctx, compiler, code)
		return compiled, false, err
	}
	key := codeKey(sha256.Sum256(code))
	if cache.holds(key) {
		if compiled, err = e.load(code); err == nil {
			return compiled, true, nil
		}
		cache.forget(key) // wazero looks for another entry: that one is of another processor
	}
	if err = e.shared.compileToCache(ctx, compiler, e.compiledPages(), key, code); err == nil {
		if compiled, err = e.load(code); err == nil {
			return compiled, false, nil
		}
	}
	var invalid *CompileError
	if errors.As(err, &invalid) || ctx.Err() != nil {
		return nil, false, err
	}
	e.shared.warn(err)
	compiled, err = e.compileUncached(ctx, compiler, code)
	return compiled, false, err
}

// compileToCache compiles a module and hands its code to the cache.
func (s *Shared) compileToCache(ctx context.Context, compiler *Compiler, pages uint32, key codeKey, code []byte) (err error) {
	if err := s.lockCompiling(ctx); err != nil {
		return err
	}
	defer s.unlockCompiling()
	dir, err := s.cache.newFolder()
	if err != nil {
		return &writeError{err.Error()}
	}
	defer func() { _ = os.RemoveAll(dir) }() // what is left is removed after an hour
	if err := s.compileInto(ctx, compiler, dir, pages, code); err != nil {
		return err
	}
	if err := s.cache.adopt(dir, key); err != nil {
		return &writeError{err.Error()}
	}
	return nil
}

// compileInto compiles a module into a folder: in a process of its own if one can be started.
func (s *Shared) compileInto(ctx context.Context, compiler *Compiler, dir string, pages uint32, code []byte) error {
	if compiler.elsewhere() {
		err := compiler.compile(ctx, dir, pages, code)
		var unstarted *startError
		if !errors.As(err, &unstarted) {
			return err
		}
		s.warn(err)
	}
	return compiler.inTime(ctx, func(ctx context.Context) error { return compileInto(ctx, dir, pages, code) })
}

// compileInto compiles a module into a folder, as wazero's cache keeps it. The error is a
// *[CompileError], a *writeError, or that of ctx.
func compileInto(ctx context.Context, dir string, pages uint32, code []byte) error {
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return &writeError{err.Error()}
	}
	defer cache.Close(ctx)
	r := wazero.NewRuntimeWithConfig(ctx, compilerConfig(pages).WithCompilationCache(cache))
	defer r.Close(ctx)
	_, err = compileHere(ctx, r, code)
	if err == nil || ctx.Err() != nil {
		return err
	}
	if _, again := loadFrom(r, code); again == nil { // compiled it is: the error is that of writing
		return &writeError{err.Error()}
	}
	return &CompileError{Reason: err.Error(), Err: err}
}

// compileUncached compiles a module for this process alone.
func (e *Engine) compileUncached(ctx context.Context, compiler *Compiler, code []byte) (compiled wazero.CompiledModule, err error) {
	err = compiler.inTime(ctx, func(ctx context.Context) (err error) {
		if compiled, err = compileHere(ctx, e.wazero, code); err == nil || ctx.Err() != nil {
			return err
		}
		// wazero may have failed to write into its cache, and then has the code in memory.
		var again error
		if compiled, again = e.load(code); again != nil {
			return &CompileError{Reason: err.Error(), Err: err}
		}
		return nil
	})
	return compiled, err
}

// load returns a module's code that wazero has in memory or in its cache.
func (e *Engine) load(code []byte) (wazero.CompiledModule, error) { return loadFrom(e.wazero, code) }

// loadFrom has wazero compile a module in a context that has ended. It looks at the context when it
// has not found the code and begins with the first function.
func loadFrom(r wazero.Runtime, code []byte) (wazero.CompiledModule, error) {
	ended, end := context.WithCancel(context.Background())
	end()
	return compileHere(ended, r, code)
}

// compileHere compiles with as many workers as there are processors: two at least, since one alone
// does not look at the context.
func compileHere(ctx context.Context, r wazero.Runtime, code []byte) (compiled wazero.CompiledModule, err error) {
	ctx = experimental.WithCompilationWorkers(ctx, max(goruntime.GOMAXPROCS(0), 2))
	err = caught(func() (err error) {
		compiled, err = r.CompileModule(ctx, code)
		return err
	})
	return compiled, err
}

// compilerConfig is how wazero compiles and finds compiled code, for memories of at most so many
// pages.
func compilerConfig(pages uint32) wazero.RuntimeConfig {
	return wazero.NewRuntimeConfig().WithCoreFeatures(features).WithMemoryLimitPages(pages).WithDebugInfoEnabled(false)
}

// compiledPages is the limit that modules are compiled with. The spare page is for rewind.
func (e *Engine) compiledPages() uint32 { return min(e.limits.MemoryPages+1, maxPages) }
