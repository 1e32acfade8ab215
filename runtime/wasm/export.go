package wasm

import "slices"

// exportState writes the sections that let a host reach the whole state: imports, memory, globals
// and exports.
func (w *rewriter) exportState() error {
	exports := slices.Clone(w.m.exports)
	for i := range exports {
		if exports[i].Kind == Function {
			exports[i].Index = w.moved(exports[i].Index)
		}
	}
	exports = w.exportGlobals(exports)
	exports = w.exportMemory(exports)
	if w.meter != nil {
		w.out.Fuel = w.names.of("fuel")
		exports = append(exports, Export{Name: w.out.Fuel, Kind: Global, Index: w.meter.fuel})
	}
	w.writeImports()
	body := appendLEB(nil, uint64(len(exports)))
	for _, e := range exports {
		body = appendLEB(append(appendName(body, e.Name), byte(e.Kind)), uint64(e.Index))
	}
	if len(exports) > 0 {
		w.bodies[sectionExport] = body
	}
	return nil
}

// readExports checks what the exports name, and notes the functions that the host can call after
// start-up. An export also lets the code take a reference to a function, be it imported.
func (w *rewriter) readExports() error {
	r, ok := w.section(sectionExport)
	if !ok {
		return nil
	}
	r.vector(func() {
		name, kind := r.name(), Kind(r.byte())
		switch kind {
		case Function:
			i := r.functionIndex()
			if r.err == nil && !slices.Contains(w.options.StartUp, name) {
				w.graph.root(i)
			}
			w.importsReferenced = w.importsReferenced || i < w.imported
		case Global:
			r.globalIndex()
		default:
			r.u32()
		}
	})
	return r.finish()
}

// exportGlobals finds or adds the export of each mutable global of the module's own that holds a
// number.
func (w *rewriter) exportGlobals(exports []Export) []Export {
	imported := w.m.countImports(Global)
	for i, g := range w.spaces.globals {
		if i < imported || !g.mutable || !g.kind.number() {
			continue
		}
		named := slices.IndexFunc(w.m.exports, func(e Export) bool { return e.Kind == Global && int(e.Index) == i })
		out := MutableGlobal{Type: g.kind, Added: named < 0}
		if out.Added {
			out.Export = w.names.of("global.%d", i)
			exports = append(exports, Export{Name: out.Export, Kind: Global, Index: uint32(i)})
		} else {
			out.Export = w.m.exports[named].Name
		}
		w.out.Globals = append(w.out.Globals, out)
	}
	return exports
}

// exportMemory finds the memory's export or adds one, by the name that hosts look for where it is
// free.
func (w *rewriter) exportMemory(exports []Export) []Export {
	const usual = "memory"
	if len(w.m.memories) == 0 && w.m.countImports(Memory) == 0 {
		return exports
	}
	taken := false
	for _, e := range exports {
		if e.Kind == Memory && (w.out.Memory == "" || e.Name == usual) {
			w.out.Memory = e.Name
		}
		taken = taken || e.Name == usual
	}
	if w.out.Memory != "" {
		return exports
	}
	w.out.Memory = usual
	if taken {
		w.out.Memory = w.names.of(usual)
	}
	return append(exports, Export{Name: w.out.Memory, Kind: Memory})
}

// writeImports writes the imports without the memory, where that becomes the module's own, and with
// the meter's function as the last.
func (w *rewriter) writeImports() {
	var imports []Import
	for _, im := range w.m.imports {
		if im.Kind == Memory && !w.options.KeepMemoryImport {
			w.bodies[sectionMemory] = append([]byte{1}, im.desc[1:]...) // behind the kind: the limits
			continue
		}
		imports = append(imports, im)
	}
	if w.meter != nil {
		desc := appendLEB([]byte{byte(Function)}, uint64(w.noType))
		imports = append(imports, Import{Module: w.options.Meter.Module, Name: w.options.Meter.Name, desc: desc})
	}
	w.bodies[sectionImport] = encodeImports(imports)
}
