package sandbox

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"policy-server/runtime/wasm"
)

// Compile checks a module and compiles a metered copy of it, whose state can be reached from
// outside. It does not keep the bytes. The error is a *[CompileError], [ErrClosed], or that of ctx.
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
	rewritten, err := wasm.Rewrite(parsed.Bytes(), wasm.Options{
		Meter:   &wasm.Meter{Module: meterModule, Name: meterTick, Fuel: fuel},
		Retry:   e.abi.Kind.retried(),
		StartUp: slices.Concat(e.abi.Kind.startUp()...),

		SparePage: true,
	})
	if err != nil {
		return nil, formatError(err)
	}
	if rewritten.MemoryMin > uint64(e.limits.MemoryPages) {
		return nil, &CompileError{Reason: fmt.Sprintf("memory starts with %d pages of 64 KiB; the limit is %d pages, %d bytes",
			rewritten.MemoryMin, e.limits.MemoryPages, uint64(e.limits.MemoryPages)*PageSize)}
	}
	p := e.newProgram(parsed, rewritten)
	found := false
	if p.code, found, err = e.machineCode(ctx, e.shared.compiler, rewritten.Code); err != nil {
		return nil, err
	}
	e.countLoaded(found)
	if err := e.checkTypes(p.code); err != nil {
		_ = p.code.Close(ctx) // the check's error is the one that tells
		return nil, err
	}
	p.init = e.initFunctions(p.code)
	return p, nil
}

// countLoaded counts one module that is ready to run.
func (e *Engine) countLoaded(found bool) {
	e.loaded.Add(1)
	if !found {
		e.compiled.Add(1)
	}
}

// newProgram returns a program that lacks its code.
func (e *Engine) newProgram(m *wasm.Module, r wasm.Rewritten) *Program {
	p := &Program{
		engine:    e,
		fuel:      r.Fuel,
		memory:    r.Memory,
		unsafe:    r.Unsafe,
		memoryMin: r.MemoryMin,
		memoryMax: r.MemoryMax,
		memoryShared: exports(m, wasm.Memory, "memory") ||
			slices.ContainsFunc(m.Imports(), func(im wasm.Import) bool { return im.Kind == wasm.Memory }),
	}
	for _, global := range r.Globals {
		switch global.Type {
		case wasm.I32, wasm.I64, wasm.F32, wasm.F64:
			p.globals = append(p.globals, global.Export)
		default: // what writes to these makes a program unsafe
		}
	}
	return p
}

func formatError(err error) error { return &CompileError{Reason: err.Error(), Err: err} }

// checkShape checks what can be told before compiling: imports, exports, and the sizes of tables.
func (e *Engine) checkShape(m *wasm.Module) error {
	for _, im := range m.Imports() {
		if !e.offers(im) {
			return e.unknownImport(im)
		}
	}
	for _, x := range e.abi.Exports {
		if !exports(m, wasm.Function, x.Name) {
			return &CompileError{Reason: x.reason()}
		}
	}
	if n := m.TableElements(); n > maxTableElements {
		return &CompileError{Reason: fmt.Sprintf("tables start with %d elements; the limit is %d", n, maxTableElements)}
	}
	return nil
}

// exports tells whether m exports something of that kind by that name.
func exports(m *wasm.Module, kind wasm.Kind, name string) bool {
	return slices.ContainsFunc(m.Exports(), func(x wasm.Export) bool { return x.Kind == kind && x.Name == name })
}

// offers tells whether a module may import im.
func (e *Engine) offers(im wasm.Import) bool {
	switch im.Kind {
	case wasm.Function:
		return e.offered[im.Module][im.Name] != nil
	case wasm.Memory:
		return e.abi.Memory != nil && *e.abi.Memory == Import{im.Module, im.Name}
	}
	return false
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

// checkTypes checks the types of imports, exports and init functions.
func (e *Engine) checkTypes(code wazero.CompiledModule) error {
	for _, f := range code.ImportedFunctions() {
		module, name, _ := f.Import()
		if module == meterModule {
			continue
		}
		want := e.offered[module][name]
		if !hasType(f, want.ParamTypes(), want.ResultTypes()) {
			return &CompileError{Reason: fmt.Sprintf("import %q %q has type %s; the host's is %s",
				module, name, typeOf(f), typeOf(want))}
		}
	}
	exports := code.ExportedFunctions()
	for _, x := range e.abi.Exports {
		if !hasType(exports[x.Name], i32s(x.Params), i32s(x.Results)) {
			return &CompileError{Reason: x.reason()}
		}
	}
	for _, name := range e.initFunctions(code) {
		if !hasType(exports[name], nil, nil) {
			return &CompileError{Reason: fmt.Sprintf("export %q has type %s; must be () -> ()", name, typeOf(exports[name]))}
		}
	}
	return nil
}

// initFunctions returns the names of the init functions that the module exports, in the order they
// run.
func (e *Engine) initFunctions(code wazero.CompiledModule) []string {
	var names []string
	for _, group := range e.abi.Kind.startUp() {
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

func typeOf(f api.FunctionDefinition) string { return typeText(f.ParamTypes(), f.ResultTypes()) }

func typeText(params, results []api.ValueType) string {
	list := func(types []api.ValueType) string {
		names := make([]string, len(types))
		for i, t := range types {
			names[i] = api.ValueTypeName(t)
		}
		return "(" + strings.Join(names, ", ") + ")"
	}
	return list(params) + " -> " + list(results)
}
