package sandbox

import (
	"context"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// features are those real guests need: the second version of the specification, and what optimisers emit for them.
// Exceptions are not among them: wazero copies the whole guest stack at every active try, so that a few bytes of guest
// could take all of the host's memory, and no toolchain's policies use them (RATIONALE.md, "Which WebAssembly features
// are on?").
const features = api.CoreFeaturesV2 |
	experimental.CoreFeaturesTypedFunctionReferences |
	experimental.CoreFeaturesTailCall |
	experimental.CoreFeaturesExtendedConst

// Engine compiles modules for one guest protocol. Goroutines may share it.
type Engine struct {
	limits  Limits
	abi     ABI
	wazero  wazero.Runtime
	offered map[string]map[string]api.FunctionDefinition // import module, then function
	gate    gate
}

// Open starts an engine. The caller closes it.
func Open(ctx context.Context, limits Limits, abi ABI) (*Engine, error) {
	e := &Engine{
		limits: limits,
		abi:    abi,
		wazero: wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().
			WithCoreFeatures(features).
			WithMemoryLimitPages(limits.MemoryPages).
			WithCloseOnContextDone(true).
			WithDebugInfoEnabled(false)),
		offered: map[string]map[string]api.FunctionDefinition{},
	}
	if err := e.offerHosts(ctx); err != nil {
		_ = e.wazero.Close(ctx) // the first error is the one that tells
		return nil, err
	}
	return e, nil
}

func (e *Engine) offerHosts(ctx context.Context) error {
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
				WithGoModuleFunction(e.abi.goFunction(f), i32s(f.Params), i32s(f.Results)).
				Export(f.Name)
		}
		mod, err := b.Instantiate(ctx)
		if err != nil {
			return fmt.Errorf("host module %q: %w", host.Name, err)
		}
		e.offered[host.Name] = mod.ExportedFunctionDefinitions()
	}
	return nil
}

// Close waits for running calls to end, refusing new ones, and frees everything the engine holds, compiled modules
// included. When ctx ends first it returns the context's error with nothing freed, and may be called again.
func (e *Engine) Close(ctx context.Context) error {
	if err := e.gate.close(ctx); err != nil {
		return fmt.Errorf("engine: wait for running calls: %w", err)
	}
	return e.wazero.Close(ctx)
}
