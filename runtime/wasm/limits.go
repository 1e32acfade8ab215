package wasm

// Limits is the size a table or memory starts with and may grow to, in elements or in pages of 64 KiB.
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

// Memories returns the limits of the memories the module defines, in pages; imported ones are not among them.
func (m *Module) Memories() []Limits { return m.memories }

func (m *Module) readMemories(r *reader) {
	for range r.count() {
		m.memories = append(m.memories, r.limits())
	}
}
