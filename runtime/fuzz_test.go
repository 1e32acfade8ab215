package runtime_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"policy-server/runtime"
)

// FuzzCompile holds that no module, whatever its bytes, does more than fail to compile or fail its own call in time.
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
			_, err = m.Call(ctx, runtime.Validate, []byte(`{"request":1}`), echoHost)
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
