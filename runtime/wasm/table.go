package wasm

import "bytes"

// table is a defined table: its limits, and the bytes around them that nothing here changes.
type table struct {
	head   []byte // reference type, behind 0x40 0x00 when an initialiser follows
	limits Limits
	init   []byte // constant expression, or empty
}

func (m *Module) readTables(r *reader) {
	for range r.count() {
		t := r.table()
		if r.err != nil {
			return
		}
		m.tables = append(m.tables, t)
	}
}

func (r *reader) table() table {
	var t table
	start := r.pos
	initialised := r.pos < len(r.b) && r.b[r.pos] == 0x40
	if initialised {
		r.byte()
		if reserved := r.byte(); reserved != 0 {
			r.fail("table initialiser is marked %#x instead of 0x0", reserved)
		}
	}
	kind := r.valueType()
	t.head = r.b[start:r.pos]
	t.limits = r.limits()
	if initialised {
		start = r.pos
		r.constExpr(kind)
		t.init = r.b[start:r.pos]
	}
	return t
}

// tableTypes returns the type of the elements of each table, imported ones first, as it is encoded.
func (m *Module) tableTypes() [][]byte {
	var types [][]byte
	for _, im := range m.imports {
		if im.Kind == Table {
			types = append(types, typeBytes(im.desc[1:]))
		}
	}
	for _, t := range m.tables {
		types = append(types, typeBytes(bytes.TrimPrefix(t.head, []byte{0x40, 0})))
	}
	return types
}

// typeBytes returns the value type that b begins with.
func typeBytes(b []byte) []byte {
	r := &reader{b: b}
	r.valueType()
	return b[:r.pos]
}

// TableElements returns how many elements all defined tables have together before any grows.
func (m *Module) TableElements() uint64 {
	var n uint64
	for _, t := range m.tables {
		if n += t.limits.Min; n < t.limits.Min {
			return 1<<64 - 1
		}
	}
	return n
}

// ClampTables lowers the tables' maxima so that together they never hold more than limit elements.
// What the tables start with is left alone and must be within limit already; the rest is shared out
// evenly. A guest sees table.grow answer -1 at the new bound.
func (m *Module) ClampTables(limit uint64) {
	elements := m.TableElements()
	if len(m.tables) == 0 || elements > limit {
		return
	}
	share := (limit - elements) / uint64(len(m.tables))
	body := appendLEB(nil, uint64(len(m.tables)))
	for i := range m.tables {
		t := &m.tables[i]
		if bound := t.limits.Min + share; !t.limits.HasMax || t.limits.Max > bound {
			t.limits.Max, t.limits.HasMax = bound, true
		}
		body = append(body, t.head...)
		body = t.limits.append(body)
		body = append(body, t.init...)
	}
	m.replace(sectionTable, body)
}
