package runtime_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"policy-server/runtime"
)

// FuzzCompile holds that no module, whatever its bytes, does more than fail to compile or fail its
// own call in time.
func FuzzCompile(f *testing.F) {
	files, err := filepath.Glob("testdata/*.wasm")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	e := open(f, runtime.Config{MemoryLimit: 1 << 20, OutputLimit: 1 << 16})
	f.Fuzz(func(t *testing.T, module []byte) {
		for _, p := range []runtime.Protocol{runtime.WaPC, runtime.WASI} {
			m, err := e.Compile(t.Context(), module, p)
			if err != nil {
				var compile *runtime.CompileError
				if !errors.As(err, &compile) {
					t.Fatalf("%s: %v is no CompileError", p, err)
				}
				continue
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			_, err = m.Call(ctx, ask(runtime.Validate, []byte(`{"request":1}`)), echoHost)
			cancel()
			if err != nil && describe(runtime.Answer{}, err) == "error: "+err.Error() {
				t.Fatalf("%s: call returned an error of no known type: %v", p, err)
			}
			if err := m.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// FuzzGuest holds that a guest which is reset comes to the same as one that is new each time,
// whatever code it is made of. What guests print and how they fail counts too.
func FuzzGuest(f *testing.F) {
	guests, err := filepath.Glob("testdata/*.wasm")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range guests {
		module, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(module, []byte("l"), []byte(`{"request":1}`))
	}
	e := open(f, runtime.Config{MemoryLimit: 1 << 20})
	f.Fuzz(func(t *testing.T, module, first, second []byte) {
		if bytes.Contains(module, []byte("random_get")) || bytes.Contains(module, []byte("clock_time_get")) {
			return // two runs of these differ by right
		}
		for _, p := range []runtime.Protocol{runtime.WaPC, runtime.WASI} {
			if m, err := e.Compile(t.Context(), module, p); err == nil {
				compareModes(t, m, first, second)
				_ = m.Close(t.Context())
			}
		}
	})
}

// compareModes calls m with two payloads in turn, in new instances and in ones that are reset.
func compareModes(t *testing.T, m *runtime.Module, first, second []byte) {
	const limit = 20 * time.Millisecond
	fresh := newGuest(t, m, runtime.GuestConfig{Mode: runtime.ModeFresh})
	reset := newGuest(t, m, runtime.GuestConfig{})
	warm, cancel := context.WithTimeout(t.Context(), 10*limit)
	_, _ = reset.WarmUp(warm, ask(runtime.Validate, first)) // commands are not held without it
	cancel()
	for _, payload := range [][]byte{first, second, first, second} {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		want := describe(fresh.Call(ctx, ask(runtime.Validate, payload), echoHost))
		got := describe(reset.Call(ctx, ask(runtime.Validate, payload), echoHost))
		cancel()
		if ctx.Err() == nil || !strings.HasPrefix(got, "interrupted") && !strings.HasPrefix(want, "interrupted") {
			if got != want {
				t.Fatalf("got  %s\nwant %s", got, want)
			}
		}
	}
}
