package wasm

import "slices"

// sectionOrder is the order the specification demands of sections; custom ones stand anywhere.
func sectionOrder() []sectionID {
	return []sectionID{sectionType, sectionImport, sectionFunction, sectionTable, sectionMemory, sectionTag,
		sectionGlobal, sectionExport, sectionStart, sectionElement, sectionDataCount, sectionCode, sectionData}
}

// checkOrder fails when a section is unknown or stands behind one that it should precede.
func (m *Module) checkOrder() error {
	order, last := sectionOrder(), -1
	for _, s := range m.sections {
		if s.id == sectionCustom {
			continue
		}
		r := s.reader()
		place := slices.Index(order, s.id)
		switch {
		case place < 0:
			r.fail("unknown section id %d", s.id)
		case place < last:
			r.fail("stands behind the %s section", order[last])
		}
		if r.err != nil {
			return r.err
		}
		last = place
	}
	return nil
}

// assemble writes the new module: the sections that were made anew, the others as they were.
func (w *rewriter) assemble() []byte {
	size := w.m.size
	for _, body := range w.bodies {
		size += len(body)
	}
	b := append(make([]byte, 0, size), header...) // enough, since what is made anew replaces something or has room
	for _, id := range sectionOrder() {
		if body, ok := w.bodies[id]; ok {
			b = append(appendLEB(append(b, byte(id)), uint64(len(body))), body...)
			continue
		}
		for _, s := range w.m.sections {
			if s.id == id {
				b = append(b, s.raw...)
			}
		}
	}
	if w.options.KeepNames {
		if names, ok := w.m.Custom("name"); ok {
			b = append(b, w.moveNames(names)...)
		}
	}
	return b
}
