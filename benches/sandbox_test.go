package benches

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"policy-server/admission"
	"policy-server/internal/testing/examples"
	"policy-server/internal/testing/guests"
	"policy-server/runtime"
	"policy-server/runtime/sandbox"
)

// BenchmarkSandbox is one call of a guest, by how its instance comes about: new, reset to the
// image, reset to an image that was warmed up, or not clean at all. The last is what the others can
// at best be, and nothing that serves.
func BenchmarkSandbox(b *testing.B) {
	for _, policy := range []struct {
		name   string
		module []byte
	}{{"accepts", guests.Bare(b, "accepts")}, {"pod-privileged", examples.Build(b, "pod-privileged")},
		{"safe-labels", examples.Build(b, "safe-labels")}} {
		for _, size := range []struct {
			name       string
			containers int
		}{{"2KB", 4}, {"5KB", 15}, {"40KB", 120}} {
			payload := payloadOf(b, size.containers)
			for _, mode := range []struct {
				name string
				open func(testing.TB, []byte) func([]byte) ([]byte, error)
			}{{"fresh", openFresh}, {"reset", openReset}, {"warm", openWarm}, {"dirty", openDirty}} {
				b.Run(fmt.Sprintf("mode=%s/policy=%s/object=%s", mode.name, policy.name, size.name), func(b *testing.B) {
					call := mode.open(b, policy.module)
					b.ReportAllocs()
					for b.Loop() {
						answer, err := call(payload)
						if err != nil || !bytes.HasPrefix(answer, []byte(`{"accepted":`)) {
							b.Fatalf("%s, %v", answer, err)
						}
					}
				})
			}
		}
	}
}

// BenchmarkCommand is one run of a WASI command: a new process, or one that goes on from its first
// read of stdin. One command only reads and answers, which shows what the host costs; the other is
// in Go and decodes the whole object.
func BenchmarkCommand(b *testing.B) {
	for _, policy := range []struct {
		name   string
		module []byte
	}{{"wasi-accepts", guests.Bare(b, "wasi_accepts")}, {"pod-command", guests.Command(b)}} {
		module := compile(b, policy.module, runtime.WASI)
		for _, size := range sizes {
			payload := payloadOf(b, size.containers)
			for _, mode := range modes {
				b.Run(fmt.Sprintf("mode=%s/policy=%s/object=%s", mode, policy.name, size.name), func(b *testing.B) {
					run := openGuest(b, module, runtime.GuestConfig{Mode: mode}, payloadOf(b, 1))
					b.ReportAllocs()
					for b.Loop() {
						if answer, err := run(payload); err != nil || !bytes.HasPrefix(answer, []byte(`{"accepted":true`)) {
							b.Fatalf("%s, %v", answer, err)
						}
					}
				})
			}
		}
	}
}

// payloadOf returns what a guest is given to validate a Pod with that many containers.
func payloadOf(tb testing.TB, containers int) []byte {
	tb.Helper()
	request, err := admission.ParseReview(review(tb, containers))
	if err != nil {
		tb.Fatal(err)
	}
	return request.Payload([]byte(`{}`))
}

func compile(tb testing.TB, module []byte, protocol runtime.Protocol) *runtime.Module {
	tb.Helper()
	engine, err := runtime.Open(tb.Context(), runtime.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = engine.Close(context.Background()) })
	m, err := engine.Compile(tb.Context(), module, protocol)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

func openFresh(tb testing.TB, module []byte) func([]byte) ([]byte, error) {
	return openGuest(tb, compile(tb, module, runtime.WaPC), runtime.GuestConfig{Mode: runtime.ModeFresh})
}

func openReset(tb testing.TB, module []byte) func([]byte) ([]byte, error) {
	return openGuest(tb, compile(tb, module, runtime.WaPC), runtime.GuestConfig{})
}

func openWarm(tb testing.TB, module []byte) func([]byte) ([]byte, error) {
	return openGuest(tb, compile(tb, module, runtime.WaPC), runtime.GuestConfig{}, payloadOf(tb, 1), payloadOf(tb, 4))
}

func openGuest(tb testing.TB, module *runtime.Module, cfg runtime.GuestConfig, warmUps ...[]byte) func([]byte) ([]byte, error) {
	tb.Helper()
	g, err := module.NewGuest(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	for _, payload := range warmUps {
		if _, err := g.WarmUp(tb.Context(), runtime.Question{Operation: runtime.Validate, Payload: payload}); err != nil {
			tb.Fatal(err)
		}
	}
	tb.Cleanup(func() {
		if stats := g.Stats(); cfg.Mode != runtime.ModeFresh && stats.Mode != runtime.ModeReset {
			tb.Errorf("ran fresh: %s", stats.Reason)
		}
	})
	return func(payload []byte) ([]byte, error) {
		answer, err := g.Call(tb.Context(), runtime.Question{Operation: runtime.Validate, Payload: payload}, nil)
		return answer.Payload, err
	}
}

// exchange is a call's payload and response.
type exchange struct{ payload, response []byte }

type exchangeKey struct{}

// openProgram compiles a guest for the sandbox alone, with as much of waPC as an answer needs.
func openProgram(tb testing.TB, module []byte) *sandbox.Program {
	tb.Helper()
	exchangeOf := func(i *sandbox.Instance) *exchange { return i.Context().Value(exchangeKey{}).(*exchange) }
	ignore := func(*sandbox.Instance, []uint64) {}
	engine, err := sandbox.Open(tb.Context(), sandbox.Limits{MemoryPages: 2048, Output: 1 << 20, HostCall: 1, Print: 1}, sandbox.ABI{
		Exports: []sandbox.Export{{Name: "__guest_call", Params: 2, Results: 1}},
		Kind:    sandbox.Library{Init: [][]string{{"_start", "_initialize"}, {"wapc_init"}}},
		Hosts: []sandbox.HostModule{{Name: "wapc", Functions: []sandbox.HostFunction{
			{Name: "__guest_request", Params: 2, Call: func(i *sandbox.Instance, stack []uint64) {
				i.Memory().Write(uint32(stack[1]), exchangeOf(i).payload)
				i.Memory().Write(uint32(stack[0]), []byte(runtime.Validate))
			}},
			{Name: "__guest_response", Params: 2, Call: func(i *sandbox.Instance, stack []uint64) {
				exchangeOf(i).response = i.Memory().Read(uint32(stack[0]), uint32(stack[1]))
			}},
			{Name: "__guest_error", Params: 2, Call: ignore},
			{Name: "__host_call", Params: 8, Results: 1, Call: ignore},
			{Name: "__host_response_len", Results: 1, Call: ignore},
			{Name: "__host_response", Params: 1, Call: ignore},
			{Name: "__host_error_len", Results: 1, Call: ignore},
			{Name: "__host_error", Params: 1, Call: ignore},
			{Name: "__console_log", Params: 2, Call: ignore},
		}}},
	}, sandbox.NewShared(sandbox.NewIdleMemory(1<<30), nil, nil, func(error) {}))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = engine.Close(context.Background()) })
	program, err := engine.Compile(tb.Context(), module)
	if err != nil {
		tb.Fatal(err)
	}
	return program
}

// validate makes one call of an instance from [openProgram], which need not be clean.
func validate(ctx context.Context, i *sandbox.Instance, payload []byte) ([]byte, error) {
	x := &exchange{payload: payload}
	_, err := i.Call(context.WithValue(ctx, exchangeKey{}, x), "__guest_call", uint64(len(runtime.Validate)), uint64(len(payload)))
	return x.response, err
}

// openDirty starts one instance and calls it over and over. Nothing above the sandbox offers such a
// thing.
func openDirty(tb testing.TB, module []byte) func([]byte) ([]byte, error) {
	tb.Helper()
	instance, err := openProgram(tb, module).Start(tb.Context(), sandbox.Call{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(instance.Release)
	return func(payload []byte) ([]byte, error) { return validate(tb.Context(), instance, payload) }
}

// BenchmarkClone is what an instance costs that the pool does not have yet, and its first call.
func BenchmarkClone(b *testing.B) {
	for _, policy := range []string{"pod-privileged", "safe-labels"} {
		b.Run("policy="+policy, func(b *testing.B) {
			take := burst(b, openProgram(b, examples.Build(b, policy)), payloadOf(b, 4))
			for b.Loop() {
				take(1)
			}
		})
	}
}

// BenchmarkBurst is the memory of this process with 64 instances in use, and after they were given
// back.
func BenchmarkBurst(b *testing.B) {
	take := burst(b, openProgram(b, examples.Build(b, "pod-privileged")), payloadOf(b, 120))
	take(1)
	for b.Loop() {
		before := residentBytes(b)
		take(64, func() {
			b.ReportMetric(float64(residentBytes(b)-before)/(1<<20), "MiB-used")
		})
		b.ReportMetric(float64(residentBytes(b)-before)/(1<<20), "MiB-left")
	}
}

// burst returns a function that has n instances at the same time make a call each, in a pool of its
// own.
func burst(b *testing.B, program *sandbox.Program, payload []byte) func(n int, during ...func()) {
	return func(n int, during ...func()) {
		pool, err := program.NewPool(sandbox.PoolConfig{})
		if err != nil {
			b.Fatal(err)
		}
		var taken []*sandbox.Instance
		for range n {
			i, err := pool.Take(b.Context(), sandbox.Call{})
			if err != nil {
				b.Fatal(err)
			}
			if answer, err := validate(b.Context(), i, payload); err != nil || len(answer) == 0 {
				b.Fatalf("%s, %v", answer, err)
			}
			taken = append(taken, i)
		}
		for _, f := range during {
			f()
		}
		for _, i := range taken {
			i.Release()
		}
		if err := pool.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIdlePolicies is the memory of fifty policies, ten settings each of five modules: with
// their code, images and one instance each, and once the instances were given up.
func BenchmarkIdlePolicies(b *testing.B) {
	modules := [][]byte{guests.Bare(b, "accepts")}
	for _, name := range measured() {
		modules = append(modules, examples.Build(b, name))
	}
	for b.Loop() {
		before := residentBytes(b)
		engine, err := runtime.Open(b.Context(), runtime.Config{})
		if err != nil {
			b.Fatal(err)
		}
		var policies []*runtime.Guest
		for _, module := range modules {
			m, err := engine.Compile(b.Context(), module, runtime.WaPC)
			if err != nil {
				b.Fatal(err)
			}
			for range 10 {
				g, err := m.NewGuest(runtime.GuestConfig{Idle: 5 * time.Second})
				if err != nil {
					b.Fatal(err)
				}
				_, _ = g.Call(b.Context(), runtime.Question{Operation: runtime.Validate, Payload: payloadOf(b, 4)}, nil) // some want settings; not to have them is an answer too
				policies = append(policies, g)
			}
		}
		b.ReportMetric(float64(residentBytes(b)-before)/(1<<20), "MiB-with-instances")
		for _, g := range policies {
			for g.Stats().Instances > 0 {
				time.Sleep(10 * time.Millisecond)
			}
		}
		b.ReportMetric(float64(residentBytes(b)-before)/(1<<20), "MiB-idle")
		if err := engine.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(residentBytes(b)-before)/(1<<20), "MiB-closed")
	}
}

// residentBytes is what the process has in memory.
func residentBytes(tb testing.TB) int64 {
	tb.Helper()
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		tb.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kilobytes, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		tb.Fatal(err)
	}
	return kilobytes << 10
}
