package wasm

// Data returns the bytes of each data segment, active and passive, in the file's order. They share
// memory with the parsed bytes and must not be changed.
func (m *Module) Data() [][]byte { return m.data }

func (m *Module) readData(r *reader) {
	count := r.count()
	const usual = 1 << 15 // of Go; more than that is believed when it is seen
	m.data = make([][]byte, 0, min(count, usual))
	for range count {
		segment := r.dataSegment()
		if r.err != nil {
			return
		}
		m.data = append(m.data, segment)
	}
}

func (r *reader) dataSegment() []byte {
	switch mode := r.u32(); mode {
	case 0: // active, in memory 0
		r.constExpr(I32)
	case 1: // passive
	case 2: // active, in the memory that is named
		r.u32()
		r.constExpr(I32)
	default:
		r.fail("unknown data segment mode %d", mode)
	}
	return r.bytes(r.u32())
}
