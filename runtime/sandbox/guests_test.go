package sandbox_test

import (
	"context"
	"os"
	"testing"

	"policy-server/runtime/sandbox"
)

// compileGuest compiles a guest of testdata for a protocol, with room for that many pages of
// memory.
func compileGuest(t testing.TB, guest string, abi sandbox.ABI, pages uint32) (*sandbox.Program, error) {
	t.Helper()
	return compileGuestIn(t, guest, abi, pages, sandbox.NewIdleMemory(1<<30))
}

// compileGuestIn does so in an engine whose idle instances are bounded by idle.
func compileGuestIn(
	t testing.TB, guest string, abi sandbox.ABI, pages uint32, idle *sandbox.IdleMemory,
) (*sandbox.Program, error) {
	t.Helper()
	e, err := sandbox.Open(t.Context(), sandbox.Limits{MemoryPages: pages, Output: 1, HostCall: 1, Print: 1}, abi,
		sandbox.NewShared(idle, nil, nil, func(error) {}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	module, err := os.ReadFile("../testdata/" + guest + ".wasm")
	if err != nil {
		t.Fatal(err)
	}
	return e.Compile(t.Context(), module)
}
