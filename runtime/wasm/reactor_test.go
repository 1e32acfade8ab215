package wasm_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"policy-server/runtime/wasm"
)

const reactorPolicy = "../../policies-examples/pod-privileged"

// buildReactor compiles a policy written in standard Go.
func buildReactor(t testing.TB) []byte {
	t.Helper()
	file, err := filepath.Abs(filepath.Join(t.TempDir(), "policy.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-buildmode=c-shared", "-o", file, ".")
	build.Dir = reactorPolicy
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	code, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// reactorRequests returns one payload for each of the policy's cases.
func reactorRequests(t testing.TB) [][]byte {
	t.Helper()
	folders, err := filepath.Glob(filepath.Join(reactorPolicy, "cases", "*"))
	if err != nil || len(folders) == 0 {
		t.Fatal(len(folders), err)
	}
	var requests [][]byte
	for _, folder := range folders {
		var payload struct {
			Request  json.RawMessage `json:"request"`
			Settings json.RawMessage `json:"settings"`
		}
		for _, file := range []string{"request.json", "settings.json"} {
			b, err := os.ReadFile(filepath.Join(folder, file))
			if err != nil {
				t.Fatal(err)
			}
			into := any(&payload)
			if file == "settings.json" {
				into = &payload.Settings
			}
			if err := json.Unmarshal(b, into); err != nil {
				t.Fatal(err)
			}
		}
		b, err := json.Marshal(payload)
		if err != nil {
			t.Fatal(err)
		}
		requests = append(requests, b)
	}
	return requests
}

// reactor is a running waPC guest with the least of a host.
type reactor struct {
	module   api.Module
	request  []byte
	response []byte
	ticks    int
}

const operation = "validate"

func startReactor(t testing.TB, code []byte, config wazero.RuntimeConfig, fuel string) *reactor {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, config.WithCoreFeatures(features))
	t.Cleanup(func() { r.Close(ctx) })
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	compiled, err := r.CompileModule(ctx, code)
	if err != nil {
		t.Fatal(err)
	}
	guest := &reactor{}
	hosts := map[string]wazero.HostModuleBuilder{"wapc": r.NewHostModuleBuilder("wapc"), "meter": r.NewHostModuleBuilder("meter")}
	for _, f := range compiled.ImportedFunctions() {
		if module, name, _ := f.Import(); hosts[module] != nil {
			call := api.GoModuleFunc(func(_ context.Context, m api.Module, stack []uint64) { guest.host(name, fuel, m, stack) })
			hosts[module].NewFunctionBuilder().WithGoModuleFunction(call, f.ParamTypes(), f.ResultTypes()).Export(name)
		}
	}
	for _, host := range hosts {
		if _, err := host.Instantiate(ctx); err != nil {
			t.Fatal(err)
		}
	}
	guest.module, err = r.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithStartFunctions("_initialize"))
	if err != nil {
		t.Fatal(err)
	}
	return guest
}

const reactorFuel = 1 << 16

func (g *reactor) host(name, fuel string, m api.Module, stack []uint64) {
	switch name {
	case "tick":
		g.ticks++
		m.ExportedGlobal(fuel).(api.MutableGlobal).Set(reactorFuel)
	case "__guest_request":
		m.Memory().Write(uint32(stack[1]), g.request)
		m.Memory().WriteString(uint32(stack[0]), operation)
	case "__guest_response":
		b, _ := m.Memory().Read(uint32(stack[0]), uint32(stack[1]))
		g.response = bytes.Clone(b)
	default:
		clear(stack)
	}
}

func (g *reactor) evaluate(t testing.TB, ctx context.Context, request []byte) []byte {
	g.request, g.response = request, nil
	_, err := g.module.ExportedFunction("__guest_call").Call(ctx, uint64(len(operation)), uint64(len(request)))
	if err != nil {
		t.Fatal(err)
	}
	return g.response
}

// TestReactor holds that a guest compiled by Go answers the same when rewritten.
func TestReactor(t *testing.T) {
	code := buildReactor(t)
	r := rewrite(t, code, wasm.Options{Meter: meter(reactorFuel)})
	if len(r.Unsafe) > 0 || len(r.Globals) == 0 {
		t.Errorf("got globals %v, unsafe %q", r.Globals, r.Unsafe)
	}
	original := startReactor(t, code, wazero.NewRuntimeConfig(), "")
	rewritten := startReactor(t, r.Code, wazero.NewRuntimeConfig(), r.Fuel)
	for _, request := range reactorRequests(t) {
		want := original.evaluate(t, t.Context(), request)
		if got := rewritten.evaluate(t, t.Context(), request); !bytes.Equal(got, want) || len(want) == 0 {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if rewritten.ticks == 0 {
		t.Error("the meter was never asked")
	}
}

// BenchmarkMeter shows what metering costs a guest compiled by Go and the tightest loop, beside
// wazero's own check.
func BenchmarkMeter(b *testing.B) {
	reactorCode := buildReactor(b)
	spends, err := os.ReadFile("testdata/spends.wasm")
	if err != nil {
		b.Fatal(err)
	}
	for _, bc := range []struct {
		name    string
		metered bool
		config  wazero.RuntimeConfig
	}{
		{"meter=none", false, wazero.NewRuntimeConfig()},
		{"meter=ours", true, wazero.NewRuntimeConfig()},
		{"meter=wazero", false, wazero.NewRuntimeConfig().WithCloseOnContextDone(true)},
	} {
		prepare := func(code []byte) (*reactor, string) {
			fuel := ""
			if bc.metered {
				r := rewrite(b, code, wasm.Options{Meter: meter(reactorFuel)})
				code, fuel = r.Code, r.Fuel
			}
			return startReactor(b, code, bc.config, fuel), fuel
		}
		ctx, cancel := context.WithCancel(b.Context())
		b.Run("guest=go/"+bc.name, func(b *testing.B) {
			guest, _ := prepare(reactorCode)
			request := reactorRequests(b)[0]
			b.ReportAllocs()
			for b.Loop() {
				guest.evaluate(b, ctx, request)
			}
		})
		for _, call := range []struct {
			export string
			n      uint64
		}{{"rounds", 10_000_000}, {"counts_down", 10_000_000}, {"fibonacci", 25}} {
			b.Run("guest="+call.export+"/"+bc.name, func(b *testing.B) {
				guest, _ := prepare(spends)
				for b.Loop() {
					if _, err := guest.module.ExportedFunction(call.export).Call(ctx, call.n); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		cancel()
	}
}

func BenchmarkRewrite(b *testing.B) {
	code := buildReactor(b)
	b.SetBytes(int64(len(code)))
	b.ReportAllocs()
	for b.Loop() {
		rewrite(b, code, wasm.Options{Meter: meter(reactorFuel)})
	}
}
