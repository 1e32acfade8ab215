package wasm

// moveNames returns the name section for the new places of functions, as a whole section. One that
// is malformed is dropped: the specification has it ignored, but not every compiler does.
func (w *rewriter) moveNames(payload []byte) []byte {
	const functions, locals, labels = 1, 2, 3
	r := &reader{b: payload, section: sectionCustom.String(), within: &w.spaces}
	body := appendName(nil, "name")
	for r.more() {
		id := r.byte()
		size := r.u32()
		sub := &reader{b: r.bytes(size), section: r.section, within: r.within, err: r.err}
		switch id {
		case functions:
			sub.vector(func() { sub.functionIndex(); sub.name() })
		case locals, labels:
			sub.vector(func() {
				sub.functionIndex()
				sub.vector(func() { sub.u32(); sub.name() })
			})
		default:
			sub.pos = len(sub.b)
		}
		if sub.finish() != nil {
			return nil
		}
		moved := w.applyNames(sub.b, sub.edits)
		body = append(append(append(body, id), appendLEB(nil, uint64(len(moved)))...), moved...)
	}
	if r.err != nil {
		return nil
	}
	return encodeSection(sectionCustom, body)
}

// applyNames moves function names as apply does, except that a retried import keeps its own name:
// two names for its wrapper, one of them out of order, would make the section malformed.
func (w *rewriter) applyNames(b []byte, edits []edit) []byte {
	plain := *w
	plain.wrappers = nil
	return plain.apply(nil, b, edits)
}
