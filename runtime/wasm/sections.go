package wasm

import "fmt"

// This file rewrites the sections around the code for the places functions move to.

// moveSections rewrites all that may name functions, elements and code excepted. What a global or
// table begins with may be called by anyone who gets hold of it.
func (w *rewriter) moveSections() error {
	for _, s := range []struct {
		id   sectionID
		item func(*reader)
	}{
		{sectionTable, func(r *reader) { r.table() }},
		{sectionGlobal, func(r *reader) { kind, _ := r.globalType(); r.constExpr(kind) }},
		{sectionData, func(r *reader) { r.dataSegment() }},
	} {
		if err := w.moveSection(s.id, s.item); err != nil {
			return err
		}
	}
	if err := w.checkDataCount(); err != nil {
		return err
	}
	return w.moveStart()
}

func (w *rewriter) moveElements() error {
	return w.moveSection(sectionElement, (*reader).elementSegment)
}

func (w *rewriter) moveSection(id sectionID, item func(*reader)) error {
	r, ok := w.section(id)
	if !ok {
		return nil
	}
	r.vector(func() { item(r) })
	if err := r.finish(); err != nil {
		return err
	}
	for _, e := range r.edits {
		if e.kind == editFunction {
			w.refer(e.n)
		}
	}
	w.bodies[id] = w.apply(nil, r.b, r.edits)
	return nil
}

// refer notes that a function may be called by reference.
func (w *rewriter) refer(function uint32) {
	w.graph.root(function)
	w.importsReferenced = w.importsReferenced || function < w.imported
}

func (w *rewriter) moveStart() error {
	r, ok := w.section(sectionStart)
	if !ok {
		return nil
	}
	r.functionIndex()
	if err := r.finish(); err != nil {
		return err
	}
	w.bodies[sectionStart] = w.apply(nil, r.b, r.edits)
	return nil
}

func (w *rewriter) checkDataCount() error {
	r, ok := w.section(sectionDataCount)
	if !ok {
		return nil
	}
	if n := r.u32(); r.err == nil && int(n) != len(w.m.data) {
		r.fail("announces %d data segments where there are %d", n, len(w.m.data))
	}
	return r.finish()
}

// moveCode rewrites every function body. What can make a reference to an import has been read
// before, since calls through references then weigh more.
func (w *rewriter) moveCode() error {
	defined := uint32(w.spaces.functions) - w.imported
	r, ok := w.section(sectionCode)
	if !ok && defined == 0 {
		return nil
	}
	if !ok {
		return &FormatError{Section: sectionCode.String(), Offset: w.m.size,
			Err: fmt.Errorf("is missing where %d functions are declared", defined)}
	}
	count := r.count()
	if r.err == nil && count != defined {
		r.fail("holds %d functions where %d are declared", count, defined)
	}
	out := appendLEB(make([]byte, 0, len(r.b)+len(r.b)/4), uint64(count))
	for index := w.imported; index < w.imported+count && r.err == nil; index++ {
		out = w.moveBody(out, r, index)
	}
	w.bodies[sectionCode] = out
	return r.finish()
}

// moveBody reads the next function body of r and appends it to out as rewritten.
func (w *rewriter) moveBody(out []byte, r *reader, index uint32) []byte {
	inner := r.functionBody()
	w.graph.enter(index)
	edits := w.newBody(inner, index).walk()
	if r.err == nil {
		r.err = inner.err
	}
	if r.err != nil {
		return out
	}
	w.edits = edits
	w.scratch = w.apply(w.scratch[:0], inner.b, edits)
	return append(appendLEB(out, uint64(len(w.scratch))), w.scratch...)
}
