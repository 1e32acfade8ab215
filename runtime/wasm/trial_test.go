package wasm_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"policy-server/runtime/wasm"
)

// features are those the server turns on.
const features = api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall | experimental.CoreFeaturesExtendedConst |
	experimental.CoreFeaturesTypedFunctionReferences | experimental.CoreFeaturesExceptionHandling

// meter is the one the tests use.
func meter(fuel int32) *wasm.Meter { return &wasm.Meter{Module: "meter", Name: "tick", Fuel: fuel} }

var errOutOfFuel = errors.New("out of fuel")

// machine runs one module. Its imports answer zeros and are written down, the meter's apart.
type machine struct {
	module api.Module
	memory bool // it has one
	ticks  int
	limit  int // ticks after which the guest is stopped
	calls  []string
	answer func(name string) uint64 // nil: 0
}

// startMachine compiles and instantiates code. fuel is the export to refill, with how much, up to
// limit times.
func startMachine(t testing.TB, code []byte, fuel string, refill int32, limit int) (*machine, error) {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCoreFeatures(features).WithMemoryLimitPages(64))
	t.Cleanup(func() { r.Close(ctx) })
	compiled, err := r.CompileModule(ctx, code)
	if err != nil {
		return nil, err
	}
	parsed, err := wasm.Parse(code)
	if err != nil {
		return nil, err
	}
	m := &machine{limit: limit, memory: len(parsed.Memories()) > 0}
	hosts := map[string]wazero.HostModuleBuilder{}
	for _, f := range compiled.ImportedFunctions() {
		module, name, _ := f.Import()
		if hosts[module] == nil {
			hosts[module] = r.NewHostModuleBuilder(module)
		}
		host := m.imported(module, name, f.ParamTypes(), len(f.ResultTypes()))
		if module == "meter" {
			host = m.tick(fuel, refill)
		}
		hosts[module].NewFunctionBuilder().WithGoModuleFunction(host, f.ParamTypes(), f.ResultTypes()).Export(name)
	}
	for _, host := range hosts {
		if _, err := host.Instantiate(ctx); err != nil {
			return nil, err
		}
	}
	m.module, err = r.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	return m, err
}

func (m *machine) imported(module, name string, params []api.ValueType, results int) api.GoModuleFunc {
	return func(_ context.Context, _ api.Module, stack []uint64) {
		for i, t := range params {
			if t == api.ValueTypeI32 || t == api.ValueTypeF32 {
				stack[i] = uint64(uint32(stack[i])) // the upper half is not defined
			}
		}
		m.calls = append(m.calls, fmt.Sprint(module, " ", name, " ", stack[:len(params)]))
		clear(stack[:min(results, len(stack))])
		if m.answer != nil && results > 0 {
			stack[0] = m.answer(name)
		}
	}
}

func (m *machine) tick(fuel string, refill int32) api.GoModuleFunc {
	return func(_ context.Context, module api.Module, _ []uint64) {
		if m.ticks++; m.ticks > m.limit {
			panic(errOutOfFuel)
		}
		module.ExportedGlobal(fuel).(api.MutableGlobal).Set(uint64(uint32(refill)))
	}
}

// call calls an export with the given parameters and returns what came of it, as text.
func (m *machine) call(name string, params ...uint64) (string, error) {
	results, err := m.module.ExportedFunction(name).Call(context.Background(), params...)
	if err != nil {
		text, _, _ := strings.Cut(err.Error(), "\n")
		return text, err
	}
	return fmt.Sprint(results), nil
}

// state is all that can be seen of the instance from outside, but for what the rewriter added.
func (m *machine) state() string {
	var b strings.Builder
	if m.memory {
		memory := m.module.Memory()
		bytes, _ := memory.Read(0, memory.Size())
		fmt.Fprintf(&b, "memory %d %x ", len(bytes), sha256.Sum256(bytes))
	}
	return b.String()
}

// exercise calls every export twice, with threes, and returns a transcript. The error is
// errOutOfFuel when the guest was stopped by the meter.
func (m *machine) exercise() (transcript []string, err error) {
	names := slices.Sorted(maps.Keys(m.module.ExportedFunctionDefinitions()))
	for range 2 {
		for _, name := range names {
			params := m.module.ExportedFunctionDefinitions()[name].ParamTypes()
			outcome, err := m.call(name, slices.Repeat([]uint64{3}, 2*len(params))[:stackSize(params)]...)
			if errors.Is(err, errOutOfFuel) {
				return transcript, errOutOfFuel
			}
			transcript = append(transcript, name+": "+outcome, m.state())
		}
	}
	return append(transcript, m.calls...), nil
}

// stackSize is how many words the parameters take: a vector takes two.
func stackSize(types []api.ValueType) int {
	n := len(types)
	for _, t := range types {
		if wasm.ValueType(t) == wasm.V128 {
			n++
		}
	}
	return n
}
