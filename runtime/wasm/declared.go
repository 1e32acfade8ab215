package wasm

// This file reads the sections that declare: types, imports, functions and globals.

func (w *rewriter) readTypes() error {
	r, ok := w.section(sectionType)
	if !ok {
		return nil
	}
	again := *r
	r.within = nil // types may name those behind them in their group: count first
	r.vector(func() { w.types = append(w.types, r.typeGroup()...) })
	w.spaces.types = len(w.types)
	again.vector(func() { again.typeGroup() })
	return again.finish()
}

// readImports reads what Parse has passed over of the imports.
func (w *rewriter) readImports() error {
	memories := len(w.m.memories)
	for _, im := range w.m.imports {
		r := &reader{b: im.desc, base: im.offset, section: sectionImport.String(), within: &w.spaces}
		r.byte()
		switch im.Kind {
		case Function:
			w.functions = append(w.functions, r.typeIndex())
			w.imported++
		case Table:
			r.valueType()
			r.limits()
			w.importsReferenced = true // as far as can be told
		case Memory:
			if r.limits(); memories > 0 {
				r.fail("memory %q %q is not the only one: more than one memory is not supported", im.Module, im.Name)
			}
			memories++
		case Global:
			kind, mutable := r.globalType()
			w.spaces.globals = append(w.spaces.globals, global{kind, mutable})
		case Tag:
			r.tagType()
		}
		if err := r.finish(); err != nil {
			return err
		}
	}
	return nil
}

func (w *rewriter) readFunctions() error {
	r, ok := w.section(sectionFunction)
	if ok {
		r.vector(func() { w.functions = append(w.functions, r.typeIndex()) })
		if err := r.finish(); err != nil {
			return err
		}
	}
	w.spaces.functions = len(w.functions)
	for _, id := range []sectionID{sectionMemory, sectionTag} {
		r, ok := w.section(id)
		if !ok {
			continue
		}
		read := func() { r.limits() }
		if id == sectionTag {
			read = r.tagType
		}
		if r.vector(read); id == sectionMemory && len(w.m.memories) > 1 {
			r.fail("%d memories: more than one memory is not supported", len(w.m.memories))
		}
		if err := r.finish(); err != nil {
			return err
		}
	}
	return nil
}

// readGlobals counts the globals. Their first values are read with the sections that name
// functions.
func (w *rewriter) readGlobals() error {
	r, ok := w.section(sectionGlobal)
	if !ok {
		return nil
	}
	counting := *r
	counting.within = nil
	counting.vector(func() {
		kind, mutable := counting.globalType()
		counting.constExpr(kind)
		w.spaces.globals = append(w.spaces.globals, global{kind, mutable})
	})
	if err := counting.finish(); err != nil {
		return err
	}
	return nil
}

func (w *rewriter) importedFunctions() []Import {
	functions := make([]Import, 0, w.imported)
	for _, im := range w.m.imports {
		if im.Kind == Function {
			functions = append(functions, im)
		}
	}
	return functions
}

func (m *Module) countImports(kind Kind) int {
	n := 0
	for _, im := range m.imports {
		if im.Kind == kind {
			n++
		}
	}
	return n
}
