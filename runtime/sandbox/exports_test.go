package sandbox_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"policy-server/runtime/sandbox"
)

// exporting is what is asked of the guest imports_memory. Its host answers in upper case, in memory
// that it has the guest allocate; what is empty it asks back for in a place that does not exist.
func exporting() sandbox.ABI {
	answer := func(i *sandbox.Instance, stack []uint64) {
		text := bytes.ToUpper(i.Memory().Read(uint32(stack[0]), uint32(stack[1])))
		size := uint64(len(text))
		if size == 0 {
			_, _ = i.Call(i.Context(), "sum", 0, 1<<20) // its error is passed over
			return
		}
		results, err := i.Call(i.Context(), "alloc", size)
		if err != nil {
			sandbox.Trap("%s", err)
		}
		stack[0] = results[0]
		i.Memory().Write(uint32(stack[0]), text)
	}
	return sandbox.ABI{
		Kind: sandbox.Library{},
		Exports: []sandbox.Export{
			{Name: "alloc", Params: 1, Results: 1},
			{Name: "sum", Params: 2, Results: 1},
			{Name: "ask", Params: 2, Results: 1},
		},
		Hosts: []sandbox.HostModule{{Name: "env", Functions: []sandbox.HostFunction{
			{Name: "answer", Params: 2, Results: 1, Call: answer},
		}}},
		Memory: &sandbox.Import{Module: "env", Name: "memory"},
	}
}

// openExporting compiles the guest with room for that many pages, and returns a pool of it too.
func openExporting(t *testing.T, pages uint32) (*sandbox.Program, *sandbox.Pool) {
	t.Helper()
	p, err := compileGuest(t, "imports_memory", exporting(), pages)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := p.NewPool(sandbox.PoolConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return p, pool
}

func takeExporting(t *testing.T, start sandbox.Starter) *sandbox.Instance {
	t.Helper()
	i, err := start(t.Context(), sandbox.Call{})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// run calls a function that must succeed.
func run(t *testing.T, i *sandbox.Instance, name string, args ...uint64) uint32 {
	t.Helper()
	results, err := i.Call(t.Context(), name, args...)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return uint32(results[0])
}

// A protocol calls several functions of an instance, works with its memory between them, and is
// called back meanwhile; and the next instance is as clean as a new one.
func TestCallExports(t *testing.T) {
	p, pool := openExporting(t, 16)
	for _, start := range []sandbox.Starter{p.Start, pool.Take, pool.Take, pool.Take} {
		i := takeExporting(t, start)
		const text = "hello"
		ptr := run(t, i, "alloc", uint64(len(text)))
		if err := i.Write(ptr, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got := run(t, i, "sum", uint64(ptr), uint64(len(text))); got != 'h'+'e'+'l'+'l'+'o' {
			t.Errorf("sum is %d", got)
		}
		answer, err := i.Read(run(t, i, "ask", uint64(ptr), uint64(len(text))), uint32(len(text)))
		if err != nil || string(answer) != "HELLO" {
			t.Errorf("answer is %q, %v", answer, err)
		}
		if end := run(t, i, "alloc", 0); end != 1024+2*uint32(len(text)) {
			t.Errorf("the heap ends at %d: something of another call is left", end)
		}
		i.Release()
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	i := takeExporting(t, p.Start)
	defer i.Release()
	var interrupted *sandbox.InterruptedError
	if _, err := i.Call(over, "alloc", 1); !errors.As(err, &interrupted) {
		t.Errorf("after its time: %v", err)
	}
	if got := pool.Stats(); got.Resets != 3 || got.Idle != 1 || got.ImageBytes != 2*sandbox.PageSize {
		t.Errorf("got %+v, want one instance of two pages that was reset three times", got)
	}
}

// What goes wrong between calls, or in a call back, ends the instance as a trap of the guest does.
func TestCallExportsFails(t *testing.T) {
	const outside = "out of bounds memory access"
	for _, tc := range []struct {
		name string
		do   func(t *testing.T, i *sandbox.Instance) error
		want string
	}{
		{"read outside", func(_ *testing.T, i *sandbox.Instance) error { _, err := i.Read(2*sandbox.PageSize-1, 2); return err },
			outside + ": 2 bytes at 0x1ffff"},
		{"read beyond 4 GiB", func(_ *testing.T, i *sandbox.Instance) error { _, err := i.Read(1<<32-1, 1<<32-1); return err },
			outside + ": 4294967295 bytes at 0xffffffff"},
		{"write outside", func(_ *testing.T, i *sandbox.Instance) error { return i.Write(2*sandbox.PageSize, []byte("x")) },
			outside + ": 1 bytes at 0x20000"},
		{"a host function reads outside", func(t *testing.T, i *sandbox.Instance) error {
			_, err := i.Call(t.Context(), "ask", 2*sandbox.PageSize, 1)
			return err
		}, outside + ": 1 bytes at 0x20000"},
		{"a call back fails, and the host function passes over it", func(t *testing.T, i *sandbox.Instance) error {
			_, err := i.Call(t.Context(), "ask", 0, 0)
			return err
		}, "wasm trap: " + outside},
		{"the guest reads outside", func(t *testing.T, i *sandbox.Instance) error {
			_, err := i.Call(t.Context(), "sum", 1<<30, 1)
			return err
		}, "wasm trap: " + outside},
		{"an argument too few", func(t *testing.T, i *sandbox.Instance) error {
			_, err := i.Call(t.Context(), "sum", 1)
			return err
		}, "expected 2 params, but passed 1"},
		{"no export of the protocol", func(t *testing.T, i *sandbox.Instance) error {
			_, err := i.Call(t.Context(), "memory")
			return err
		}, `function "memory" is not among the exports of the protocol`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, pool := openExporting(t, 16)
			i := takeExporting(t, pool.Take)
			err := tc.do(t, i)
			var trap *sandbox.TrapError
			if !errors.As(err, &trap) || !strings.HasSuffix(trap.Text, tc.want) {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
			if _, again := i.Call(t.Context(), "alloc", 1); !errors.Is(again, err) {
				t.Errorf("a call after it: %v", again)
			}
			i.Release()
			if got := pool.Stats(); got.Discards[sandbox.DiscardTrap] != 1 {
				t.Errorf("got %+v, want the instance given up", got)
			}
		})
	}
}

// A module is held to the exports and to the memory import that its protocol knows.
func TestCompileExports(t *testing.T) {
	const start = "cannot compile module: "
	for _, tc := range []struct {
		name   string
		change func(*sandbox.ABI)
		pages  uint32
		want   string
	}{
		{"as it is", func(*sandbox.ABI) {}, 2, ""},
		{"memory beyond the limit", func(*sandbox.ABI) {}, 1,
			"memory starts with 2 pages of 64 KiB; the limit is 1 pages, 65536 bytes"},
		{"no memory offered", func(a *sandbox.ABI) { a.Memory = nil }, 2,
			`unknown import: memory "env" "memory"`},
		{"another memory offered", func(a *sandbox.ABI) { a.Memory.Name = "heap" }, 2,
			`unknown import: memory "env" "memory"`},
		{"an export missing", func(a *sandbox.ABI) { a.Exports[2] = sandbox.Export{Name: "eval", Params: 1} }, 2,
			`function "eval" of type (i32) -> () is not exported`},
		{"an export that is no function", func(a *sandbox.ABI) { a.Exports[2] = sandbox.Export{Name: "memory"} }, 2,
			`function "memory" of type () -> () is not exported`},
		{"an export of another type", func(a *sandbox.ABI) { a.Exports[1].Results = 2 }, 2,
			`function "sum" of type (i32, i32) -> (i32, i32) is not exported`},
		{"an export missing, with words for it", func(a *sandbox.ABI) { a.Exports[0] = sandbox.Export{Name: "eval", Missing: "no eval"} }, 2,
			"no eval"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			abi := exporting()
			tc.change(&abi)
			_, err := compileGuest(t, "imports_memory", abi, tc.pages)
			if tc.want == "" && err == nil {
				return
			}
			if err == nil || err.Error() != start+tc.want {
				t.Errorf("got  %v\nwant %s", err, start+tc.want)
			}
		})
	}
}

// What a protocol writes between calls is forgotten too.
func TestImportedMemoryForgets(t *testing.T) {
	_, pool := openExporting(t, 2)
	for range 3 {
		i := takeExporting(t, pool.Take)
		if err := i.Write(2*sandbox.PageSize-1, []byte{1}); err != nil {
			t.Error(err)
		}
		i.Release()
		if i = takeExporting(t, pool.Take); run(t, i, "sum", 2*sandbox.PageSize-1, 1) != 0 {
			t.Error("the last byte was kept")
		}
		i.Release()
	}
}
