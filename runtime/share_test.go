package runtime_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"policy-server/runtime"
)

// TestCompile_shared holds that code is shared by those who ask for the same bytes, and freed by
// the last of them.
func TestCompile_shared(t *testing.T) {
	engine, err := runtime.Open(t.Context(), runtime.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := engine.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	code, err := os.ReadFile("testdata/accepts.wasm")
	if err != nil {
		t.Fatal(err)
	}
	modules := make([]*runtime.Module, 16)
	var group sync.WaitGroup
	for i := range modules {
		group.Go(func() {
			module, err := engine.Compile(t.Context(), code, runtime.WaPC)
			if err != nil {
				t.Error(err)
			}
			modules[i] = module
		})
	}
	group.Wait()
	for i, module := range modules {
		for _, open := range modules[i:] { // whoever has not closed it can use it
			if _, err := open.Call(t.Context(), ask(runtime.Validate, nil), nil); err != nil {
				t.Fatalf("after %d were closed: %v", i, err)
			}
		}
		for range 2 { // closing twice takes nothing from the others
			if err := module.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := modules[0].Call(t.Context(), ask(runtime.Validate, nil), nil); err == nil {
		t.Error("the code is still there after the last was closed")
	}
}

// TestCompile_failureIsNotShared holds that a module that does not compile is tried again.
func TestCompile_failureIsNotShared(t *testing.T) {
	engine, err := runtime.Open(t.Context(), runtime.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = engine.Close(context.Background()) }()
	for range 2 {
		if _, err := engine.Compile(t.Context(), []byte("\x00asm\x01\x00\x00\x00"), runtime.WaPC); err == nil {
			t.Error("a module without anything in it was compiled")
		}
	}
}

// TestOpen_codeFolder holds that compiled code outlives an engine, and that damage to it is found
// and mended.
func TestOpen_codeFolder(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "compiled")
	code, err := os.ReadFile("testdata/counts_calls.wasm")
	if err != nil {
		t.Fatal(err)
	}
	start := func() (stats runtime.EngineStats) {
		t.Helper()
		engine, err := runtime.Open(t.Context(), runtime.Config{CodeFolder: folder})
		if err != nil {
			t.Fatal(err)
		}
		module, err := engine.Compile(t.Context(), code, runtime.WaPC)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := engine.Compile(t.Context(), code, runtime.WaPC); err != nil {
			t.Fatal(err)
		}
		answer, err := module.Call(t.Context(), ask(runtime.Validate, nil), nil)
		if err != nil || string(answer.Payload) != `{"accepted":true,"message":"call no. 1"}` {
			t.Errorf("answer %s, %v", answer.Payload, err)
		}
		if err := engine.Close(t.Context()); err != nil {
			t.Error(err)
		}
		return engine.Stats()
	}
	for _, want := range []runtime.EngineStats{{Compiled: 1, Shared: 1}, {Found: 1, Shared: 1}} {
		if stats := start(); stats != want {
			t.Errorf("got %+v, want %+v", stats, want)
		}
	}
	entries, err := filepath.Glob(filepath.Join(folder, "code", "*", "*"))
	if err != nil || len(entries) != 2 { // the module, and what launches commands
		t.Fatalf("entries %v, %v", entries, err)
	}
	for _, entry := range entries {
		content, err := os.ReadFile(entry)
		if err != nil {
			t.Fatal(err)
		}
		content[len(content)/2] ^= 0x40
		if err := os.WriteFile(entry, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []runtime.EngineStats{{Compiled: 1, Shared: 1, Damaged: 2}, {Found: 1, Shared: 1}} {
		if stats := start(); stats != want {
			t.Errorf("damaged: got %+v, want %+v", stats, want)
		}
	}
}
