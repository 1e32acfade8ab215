package wasm_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/tetratelabs/wazero"

	"policy-server/runtime/wasm"
)

// FuzzRewrite holds that no bytes panic, that what compiles still compiles when it was rewritten,
// and that it then does the same.
func FuzzRewrite(f *testing.F) {
	for _, pattern := range []string{"../testdata/*.wasm", "testdata/*.wasm"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatal(len(files), err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	for _, name := range []string{"v2/testdata/simd_lane.0", "v2/testdata/br_table.0", "v2/testdata/table_copy.2",
		"typed-function-references/testdata/call_ref.0", "exception-handling/testdata/try_table.1", "v2/testdata/loop.0",
		"v2/testdata/call_indirect.0", "v2/testdata/bulk.3", "v2/testdata/names.3", "v2/testdata/unreached-valid.0"} {
		b, err := os.ReadFile(filepath.Join(specRoot(f), name+".wasm"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, code []byte) {
		r, err := wasm.Rewrite(code, wasm.Options{Meter: meter(100), KeepNames: true})
		if err != nil {
			var format *wasm.FormatError
			if !errors.As(err, &format) {
				t.Fatalf("got %v, want a FormatError", err)
			}
			return
		}
		if again, err := wasm.Rewrite(r.Code, wasm.Options{}); err != nil {
			t.Fatalf("what was rewritten cannot be read: %v (%d globals)", err, len(again.Globals))
		}
		if tooLarge(t, code) || compiles(code) != nil {
			return
		}
		if err := compiles(r.Code); err != nil {
			t.Fatalf("what was rewritten does not compile: %v", err)
		}
		compareTrials(t, code)
	})
}

// tooLarge tells whether the module asks for more than a fuzzing process can give.
func tooLarge(t *testing.T, code []byte) bool {
	m := parse(t, string(code))
	return m.CheckCounts() != nil || m.TableElements() > maxTableElements
}

// compiles returns why the module does not compile. A panic of the compiler is one reason.
func compiles(code []byte) (err error) {
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCoreFeatures(features).WithMemoryLimitPages(64))
	defer r.Close(ctx)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	_, err = r.CompileModule(ctx, code)
	return err
}
