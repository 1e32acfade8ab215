package sandbox_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"policy-server/runtime/sandbox"
)

// openEvaluator returns a pool of guests that import their memory, as evaluators do.
func openEvaluator(t *testing.T, abi sandbox.ABI) (*sandbox.Pool, error) {
	t.Helper()
	engine, err := sandbox.Open(t.Context(), sandbox.Limits{MemoryPages: 16, Output: 1, HostCall: 1, Print: 1}, abi, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	module, err := os.ReadFile("../testdata/imports_memory.wasm")
	if err != nil {
		t.Fatal(err)
	}
	program, err := engine.Compile(t.Context(), module)
	if err != nil {
		return nil, err
	}
	return program.NewPool(sandbox.PoolConfig{})
}

var evaluator = sandbox.ABI{
	Entry:         sandbox.Entry{Name: "eval", Params: 1, Results: 1},
	Memory:        [2]string{"env", "memory"},
	MissingMemory: "no memory",
}

// TestInvoke holds that a call may consist of several exports and of what the host writes between them, and that a reset
// instance knows nothing of it.
func TestInvoke(t *testing.T) {
	pool, err := openEvaluator(t, evaluator)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		i, err := pool.Take(t.Context(), sandbox.Process{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := i.Invoke(t.Context(), "put", 8, 41); err != nil {
			t.Error(err)
		}
		if results, err := i.Call(t.Context(), 8); err != nil || results[0] != 42 {
			t.Errorf("eval: %v, %v", results, err)
		}
		for name, c := range map[string]struct {
			export string
			args   []uint64
			want   string
		}{
			"no such export":  {"nothing", nil, `the guest exports no function "nothing"`},
			"other arguments": {"put", []uint64{1}, `export "put" has type (i32, i32) -> (); it is called with 1 arguments`},
			"out of bounds":   {"put", []uint64{1 << 30, 1}, "wasm trap: out of bounds memory access"},
		} {
			var trap *sandbox.TrapError
			if _, err := i.Invoke(t.Context(), c.export, c.args...); !errors.As(err, &trap) || !strings.Contains(trap.Text, c.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		var interrupted *sandbox.InterruptedError
		if _, err := i.Invoke(over, "put", 8, 1); !errors.As(err, &interrupted) {
			t.Errorf("after its time: %v", err)
		}
		i.Release()
	}
	i, err := pool.Take(t.Context(), sandbox.Process{})
	if err != nil {
		t.Fatal(err)
	}
	defer i.Release()
	if results, err := i.Call(t.Context(), 8); err != nil || results[0] != 1 {
		t.Errorf("a clean instance: %v, %v", results, err)
	}
}

// TestMemoryImport holds that a memory is imported only where the protocol says so.
func TestMemoryImport(t *testing.T) {
	abi := evaluator
	abi.Memory = [2]string{}
	if _, err := openEvaluator(t, abi); err == nil || !strings.Contains(err.Error(), `unknown import: memory "env" "memory"`) {
		t.Errorf("got %v", err)
	}
}
