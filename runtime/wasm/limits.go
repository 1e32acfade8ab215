package wasm

// Limits is the size a table or memory starts with and may grow to, in elements or in pages of 64
// KiB.
type Limits struct {
	Min    uint64
	Max    uint64 // meaningful when HasMax is true
	HasMax bool

	flags byte // as read: sharing and address width
}

const (
	limitsHasMax = 1 << iota
	limitsShared
	limits64
)

func (r *reader) limits() Limits {
	l := Limits{flags: r.byte()}
	if l.flags > limitsHasMax|limitsShared|limits64 {
		r.fail("unknown limits flags %#x", l.flags)
		return l
	}
	if r.within != nil && l.flags&limitsShared != 0 {
		r.fail("limits flags %#x: threads are not supported", l.flags)
	}
	if r.within != nil && l.flags&limits64 != 0 {
		r.fail("limits flags %#x: 64-bit memories and tables are not supported", l.flags)
	}
	width := 32
	if l.flags&limits64 != 0 {
		width = 64
	}
	l.Min = r.leb(width)
	if l.HasMax = l.flags&limitsHasMax != 0; l.HasMax {
		l.Max = r.leb(width)
	}
	return l
}

func (l Limits) append(b []byte) []byte {
	flags := l.flags &^ limitsHasMax
	if l.HasMax {
		flags |= limitsHasMax
	}
	b = appendLEB(append(b, flags), l.Min)
	if l.HasMax {
		b = appendLEB(b, l.Max)
	}
	return b
}

// maxPages is how many pages 32 bits address.
const maxPages = 1 << 16

// limitMemory tells what the module's memory may grow to, and lets it grow by a page more if it
// shall.
func (w *rewriter) limitMemory() error {
	w.out.MemoryMax = maxPages
	body, ok := w.bodies[sectionMemory] // an import that became the module's own
	if !ok {
		r, ok := w.section(sectionMemory)
		if !ok {
			return nil
		}
		body = r.b
	}
	r := &reader{b: body, section: sectionMemory.String(), within: &w.spaces}
	if r.count() == 0 {
		return nil
	}
	limits := r.limits()
	w.out.MemoryMin = limits.Min
	if r.err != nil || !limits.HasMax || limits.Max > maxPages {
		return r.finish()
	}
	w.out.MemoryMax = limits.Max
	if w.options.SparePage && limits.Max < maxPages && limits.Min <= limits.Max {
		limits.Max++
		w.bodies[sectionMemory] = limits.append([]byte{1})
	}
	return r.finish()
}

// Memories returns the limits of the memories the module defines, in pages; imported ones are not
// among them.
func (m *Module) Memories() []Limits { return m.memories }

func (m *Module) readMemories(r *reader) {
	for range r.count() {
		m.memories = append(m.memories, r.limits())
	}
}
