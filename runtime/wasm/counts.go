package wasm

// maxLocals is what a function may declare: the bound the browsers share
// (https://webassembly.github.io/spec/js-api/#limits). A declaration of four bytes can ask for four billion.
const maxLocals = 50_000

// CheckCounts walks the sections that [Parse] passes over and fails with a *[FormatError] where a count or size
// exceeds the bytes behind it. Compilers allocate by such counts before they read on, and running out of memory
// cannot be recovered from, so a module of unknown origin must pass here first. Instructions are left to the
// compiler's own validation.
func (m *Module) CheckCounts() error {
	for _, s := range m.sections {
		r := s.reader()
		switch s.id {
		case sectionType:
			r.vector(r.typeGroup)
		case sectionFunction:
			r.vector(func() { r.u32() })
		case sectionGlobal:
			r.vector(func() { r.valueType(); r.byte(); r.constExpr() })
		case sectionStart, sectionDataCount:
			r.u32()
		case sectionElement:
			r.vector(r.elementSegment)
		case sectionCode:
			r.vector(r.function)
		case sectionTag:
			r.vector(func() { r.byte(); r.u32() })
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

// typeGroup passes over a function type, or a recursive group of them.
func (r *reader) typeGroup() {
	const functionType, recursiveGroup = 0x60, 0x4e
	switch form := r.byte(); form {
	case functionType:
		r.vector(r.valueType) // parameters
		r.vector(r.valueType) // results
	case recursiveGroup:
		r.vector(func() {
			if form := r.byte(); form != functionType {
				r.fail("unknown type form %#x", form)
			}
			r.vector(r.valueType)
			r.vector(r.valueType)
		})
	default:
		r.fail("unknown type form %#x", form)
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
		r.constExpr()
	}
	if passive || indexed { // the form says what the elements are
		if expressions {
			r.valueType()
		} else {
			r.byte()
		}
	}
	if expressions {
		r.vector(r.constExpr)
	} else {
		r.vector(func() { r.u32() })
	}
}

// function passes over one body in the code section, reading its local declarations.
func (r *reader) function() {
	size := r.u32()
	start := r.pos
	body := r.bytes(size)
	inner := &reader{b: body, base: r.base + start, section: r.section}
	var locals uint64
	inner.vector(func() {
		locals += uint64(inner.u32())
		inner.valueType()
		if locals > maxLocals {
			inner.fail("function declares %d locals; at most %d", locals, maxLocals)
		}
	})
	if inner.err == nil && !inner.more() {
		inner.fail("function has no body")
	}
	if r.err == nil {
		r.err = inner.err
	}
}
