package sandbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"policy-server/runtime/wasm"
)

// Compile checks and compiles a module. It does not keep the bytes. The error is a *[CompileError], or [ErrClosed].
// The caller closes the program, or the engine with all its programs.
func (e *Engine) Compile(ctx context.Context, module []byte) (*Program, error) {
	if !e.gate.enter() {
		return nil, ErrClosed
	}
	defer e.gate.leave()
	parsed, err := wasm.Parse(module)
	if err != nil {
		return nil, formatError(err)
	}
	if err := parsed.CheckCounts(); err != nil {
		return nil, formatError(err)
	}
	if err := e.checkShape(parsed); err != nil {
		return nil, err
	}
	parsed.ClampTables(maxTableElements)
	p := &Program{engine: e}
	// Custom sections do nothing for a running guest; without them they can do no harm in the compiler either.
	err = caught(func() (err error) {
		p.code, err = e.wazero.CompileModule(ctx, parsed.WithoutCustom())
		return err
	})
	if err != nil {
		return nil, &CompileError{Reason: err.Error(), Err: err}
	}
	if err := e.checkTypes(p.code); err != nil {
		_ = p.code.Close(ctx) // the check's error is the one that tells
		return nil, err
	}
	p.init = e.initFunctions(p.code)
	return p, nil
}

func formatError(err error) error {
	reason := err.Error()
	if errors.Is(err, wasm.ErrCompactImports) {
		reason += ", an encoding this runtime cannot read: " +
			"rebuild the module with an older wasm-opt (binaryen 123 or before), or without it"
	}
	return &CompileError{Reason: reason, Err: err}
}

// checkShape checks what can be told before compiling: imports, the entry point, and the sizes at start.
func (e *Engine) checkShape(m *wasm.Module) error {
	for _, im := range m.Imports() {
		if _, ok := e.offered[im.Module][im.Name]; !ok || im.Kind != wasm.Function {
			return e.unknownImport(im)
		}
	}
	isEntry := func(x wasm.Export) bool { return x.Kind == wasm.Function && x.Name == e.abi.Entry.Name }
	if !slices.ContainsFunc(m.Exports(), isEntry) {
		return &CompileError{Reason: e.abi.Entry.Missing}
	}
	for _, memory := range m.Memories() {
		if memory.Min > uint64(e.limits.MemoryPages) {
			return &CompileError{Reason: fmt.Sprintf("memory starts with %d pages of 64 KiB; the limit is %d pages, %d bytes",
				memory.Min, e.limits.MemoryPages, uint64(e.limits.MemoryPages)*PageSize)}
		}
	}
	if n := m.TableElements(); n > maxTableElements {
		return &CompileError{Reason: fmt.Sprintf("tables start with %d elements; the limit is %d", n, maxTableElements)}
	}
	return nil
}

func (e *Engine) unknownImport(im wasm.Import) error {
	reason := fmt.Sprintf("unknown import: %s %q %q", im.Kind, im.Module, im.Name)
	if _, ok := e.offered[im.Module]; !ok {
		known := make([]string, 0, len(e.offered))
		for name := range e.offered {
			known = append(known, name)
		}
		slices.Sort(known)
		reason += "; known modules: " + strings.Join(known, ", ")
	}
	return &CompileError{Reason: reason}
}

// checkTypes checks the types of imports, entry point and init functions.
func (e *Engine) checkTypes(code wazero.CompiledModule) error {
	for _, f := range code.ImportedFunctions() {
		module, name, _ := f.Import()
		want := e.offered[module][name]
		if !hasType(f, want.ParamTypes(), want.ResultTypes()) {
			return &CompileError{Reason: fmt.Sprintf("import %q %q has type %s; the host's is %s",
				module, name, typeText(f), typeText(want))}
		}
	}
	exports, entry := code.ExportedFunctions(), e.abi.Entry
	if !hasType(exports[entry.Name], i32s(entry.Params), i32s(entry.Results)) {
		return &CompileError{Reason: entry.Missing}
	}
	for _, name := range e.initFunctions(code) {
		if !hasType(exports[name], nil, nil) {
			return &CompileError{Reason: fmt.Sprintf("export %q has type %s; must be () -> ()", name, typeText(exports[name]))}
		}
	}
	return nil
}

// initFunctions returns the names of the init functions that the module exports, in the order they run.
func (e *Engine) initFunctions(code wazero.CompiledModule) []string {
	var names []string
	for _, group := range e.abi.Init {
		for _, name := range group {
			if _, ok := code.ExportedFunctions()[name]; ok {
				names = append(names, name)
				break
			}
		}
	}
	return names
}

func hasType(f api.FunctionDefinition, params, results []api.ValueType) bool {
	return slices.Equal(f.ParamTypes(), params) && slices.Equal(f.ResultTypes(), results)
}

func typeText(f api.FunctionDefinition) string {
	list := func(types []api.ValueType) string {
		names := make([]string, len(types))
		for i, t := range types {
			names[i] = api.ValueTypeName(t)
		}
		return "(" + strings.Join(names, ", ") + ")"
	}
	return list(f.ParamTypes()) + " -> " + list(f.ResultTypes())
}
