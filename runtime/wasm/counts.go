package wasm

// CheckCounts walks the sections that [Parse] passes over and fails with a *[FormatError] where a
// count or size exceeds the bytes behind it. Compilers allocate by such counts before they read on,
// and running out of memory cannot be recovered from, so a module of unknown origin must pass here
// first. Instructions are left to the compiler's own validation.
func (m *Module) CheckCounts() error {
	for _, s := range m.sections {
		r := s.reader()
		switch s.id {
		case sectionType:
			r.vector(func() { r.typeGroup() })
		case sectionFunction:
			r.vector(func() { r.typeIndex() })
		case sectionGlobal:
			r.vector(func() { kind, _ := r.globalType(); r.constExpr(kind) })
		case sectionStart:
			r.functionIndex()
		case sectionDataCount:
			r.u32()
		case sectionElement:
			r.vector(r.elementSegment)
		case sectionCode:
			r.functionBodies()
		case sectionTag:
			r.vector(r.tagType)
		case sectionCustom, sectionImport, sectionTable, sectionMemory, sectionExport, sectionData:
			continue // Parse has read them
		default:
			r.fail("unknown section id %d", s.id)
		}
		if err := r.finish(); err != nil {
			return err
		}
	}
	return nil
}

// vector reads a count and that many items.
func (r *reader) vector(item func()) {
	for range r.count() {
		if item(); r.err != nil {
			return
		}
	}
}

// elementSegment passes over one of the eight forms; the bits of the leading number compose them.
func (r *reader) elementSegment() {
	form := r.u32()
	if form > 7 {
		r.fail("unknown element segment form %d", form)
		return
	}
	passive, indexed, expressions := form&1 != 0, form&2 != 0, form&4 != 0
	if !passive {
		if indexed {
			r.u32() // table
		}
		r.constExpr(I32)
	}
	kind := FuncRef
	if passive || indexed { // the form says what the elements are
		if expressions {
			kind = r.valueType()
		} else {
			r.byte()
		}
	}
	if expressions {
		r.vector(func() { r.constExpr(kind) })
	} else {
		r.vector(func() { r.functionIndex() })
	}
}

// functionBodies passes over the bodies in the code section, reading their local declarations.
func (r *reader) functionBodies() {
	var locals uint64
	r.vector(func() {
		inner := r.functionBody()
		locals += uint64(inner.locals())
		switch {
		case inner.err != nil:
		case !inner.more():
			inner.fail("function has no body")
		case locals > maxAllLocals:
			inner.fail("functions declare more than %d locals together", maxAllLocals)
		case len(inner.b) > maxBodySize:
			inner.fail("function has %d bytes; at most %d", len(inner.b), maxBodySize)
		}
		if r.err == nil {
			r.err = inner.err
		}
	})
}

// functionBody returns a reader of the next body in the code section.
func (r *reader) functionBody() *reader {
	size := r.u32()
	start := r.pos
	return &reader{b: r.bytes(size), base: r.base + start, section: r.section, err: r.err, within: r.within}
}

// locals passes over a function's local declarations and returns how many locals they make.
func (r *reader) locals() uint32 {
	var n uint64
	r.vector(func() {
		n += uint64(r.u32())
		r.valueType()
		if n > maxLocals {
			r.fail("function declares %d locals; at most %d", n, maxLocals)
		}
	})
	return uint32(n)
}
