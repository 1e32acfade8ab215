package sandbox

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// features are those real guests need: the second version of the specification, and what optimisers
// emit for them. Exceptions are not among them: wazero copies the whole guest stack at every active
// try, so that a few bytes of guest could take all of the host's memory, and no toolchain's
// policies use them (RATIONALE.md, "Which WebAssembly features are on?").
const features = api.CoreFeaturesV2 |
	experimental.CoreFeaturesTypedFunctionReferences |
	experimental.CoreFeaturesTailCall |
	experimental.CoreFeaturesExtendedConst

// Engine compiles modules for one guest protocol. Goroutines may share it.
type Engine struct {
	limits   Limits
	abi      ABI
	shared   *Shared
	wazero   wazero.Runtime
	launcher wazero.CompiledModule                        // nil unless guests are commands
	offered  map[string]map[string]api.FunctionDefinition // import module, then function
	system   *system
	gate     gate
	scratch  sync.Pool // of *[]byte: what instances hold before they are mapped; nothing of any call

	loaded, compiled atomic.Uint64 // modules

	mu          sync.Mutex
	pools       map[*Pool]struct{} // those that are open
	closeSystem sync.Once
}

// Open starts an engine. The caller closes it, and the cache of shared after it.
func Open(ctx context.Context, limits Limits, abi ABI, shared *Shared) (*Engine, error) {
	e := &Engine{
		limits:  limits,
		abi:     abi,
		shared:  shared,
		offered: map[string]map[string]api.FunctionDefinition{},
		system:  openSystem(),
		pools:   map[*Pool]struct{}{},
	}
	config := compilerConfig(e.compiledPages())
	if shared.cache != nil {
		config = config.WithCompilationCache(shared.cache.wazero)
	}
	e.wazero = wazero.NewRuntimeWithConfig(ctx, config)
	if err := e.offerHosts(ctx); err != nil {
		_ = e.wazero.Close(ctx) // the first error is the one that tells
		e.system.close()
		return nil, err
	}
	return e, nil
}

func (e *Engine) offerHosts(ctx context.Context) error {
	if err := instantiateMeter(ctx, e.wazero); err != nil {
		return fmt.Errorf("host module %q: %w", meterModule, err)
	}
	for _, name := range wasiModules {
		mod, err := instantiateWASI(ctx, e.wazero, name)
		if err != nil {
			return fmt.Errorf("host module %q: %w", name, err)
		}
		e.offered[name] = mod.ExportedFunctionDefinitions()
	}
	for _, host := range e.abi.Hosts {
		b := e.wazero.NewHostModuleBuilder(host.Name)
		for _, f := range host.Functions {
			b.NewFunctionBuilder().
				WithGoModuleFunction(f.goFunction(), i32s(f.Params), i32s(f.Results)).
				Export(f.Name)
		}
		mod, err := b.Instantiate(ctx)
		if err != nil {
			return fmt.Errorf("host module %q: %w", host.Name, err)
		}
		e.offered[host.Name] = mod.ExportedFunctionDefinitions()
	}
	return e.abi.Kind.ready(ctx, e)
}

// poolsOf returns the open pools of p, or of all programs if p is nil.
func (e *Engine) poolsOf(p *Program) []*Pool {
	e.mu.Lock()
	defer e.mu.Unlock()
	var pools []*Pool
	for pool := range e.pools {
		if p == nil || pool.program == p {
			pools = append(pools, pool)
		}
	}
	return pools
}

func (e *Engine) addPool(p *Pool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pools[p] = struct{}{}
	e.shared.idle.add(p)
}

func (e *Engine) removePool(p *Pool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.pools, p)
	e.shared.idle.remove(p)
}

// takeScratch returns bytes for a memory to begin in. The pages of such a memory are in use
// already; those of a new mapping would cost a fault each, more than all else of an instance.
func (e *Engine) takeScratch() []byte {
	if b, ok := e.scratch.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return nil
}

// maxScratch is up to what size bytes are kept for others: few guests need more.
const maxScratch = 16 << 20

func (e *Engine) giveScratch(b []byte) {
	if cap(b) <= maxScratch {
		e.scratch.Put(&b)
	}
}

// CompileStats is how an engine has come by compiled code so far.
type CompileStats struct {
	Loaded   uint64 // modules made ready to run
	Compiled uint64 // of these, the ones that had to be compiled: the others were in the [CodeCache]
}

// Stats returns the engine's statistics.
func (e *Engine) Stats() CompileStats { return CompileStats{e.loaded.Load(), e.compiled.Load()} }

// Close waits for running calls to end, refusing new ones, and frees everything the engine holds,
// compiled modules and pools included. When ctx ends first it returns the context's error,
// something is left unfreed, and it may be called again.
func (e *Engine) Close(ctx context.Context) error {
	if err := e.gate.close(ctx); err != nil {
		return fmt.Errorf("engine: wait for running calls: %w", err)
	}
	for _, pool := range e.poolsOf(nil) {
		if err := pool.Close(ctx); err != nil {
			return err
		}
	}
	e.closeSystem.Do(e.system.close)
	return e.wazero.Close(ctx)
}
