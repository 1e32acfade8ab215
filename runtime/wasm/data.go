package wasm

// Data returns the bytes of each data segment, active and passive, in the file's order. They share memory with the
// parsed bytes and must not be changed.
func (m *Module) Data() [][]byte { return m.data }

func (m *Module) readData(r *reader) {
	for range r.count() {
		switch mode := r.u32(); mode {
		case 0: // active, in memory 0
			r.constExpr()
		case 1: // passive
		case 2: // active, in the memory that is named
			r.u32()
			r.constExpr()
		default:
			r.fail("unknown data segment mode %d", mode)
		}
		segment := r.bytes(r.u32())
		if r.err != nil {
			return
		}
		m.data = append(m.data, segment)
	}
}
