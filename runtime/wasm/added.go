package wasm

import (
	"bytes"
	"slices"
)

// This file adds types, functions and the fuel behind those that the module has.

// addedFunction is a function of the new module that the original has not.
type addedFunction struct {
	kind uint32 // index of its type, in the new module
	body []byte // without its size
}

// addFunction adds a function and returns its index in the new module.
func (w *rewriter) addFunction(kind uint32, body []byte) uint32 {
	index := w.spaces.functions + len(w.addedFunctions)
	if w.meter != nil {
		index++
	}
	w.addedFunctions = append(w.addedFunctions, addedFunction{kind, body})
	return uint32(index)
}

// addType returns the index of an added function type, which is encoded as given.
func (w *rewriter) addType(encoded []byte) uint32 {
	i := slices.IndexFunc(w.addedTypes, func(t []byte) bool { return bytes.Equal(t, encoded) })
	if i < 0 {
		i = len(w.addedTypes)
		w.addedTypes = append(w.addedTypes, encoded)
	}
	return uint32(w.spaces.types + i)
}

// plainType returns the index of the type () -> (), which is added unless there is one.
func (w *rewriter) plainType() uint32 {
	isPlain := func(t functionType) bool { return t.alone && t.params == 0 && len(t.results) == 0 }
	if i := slices.IndexFunc(w.types, isPlain); i >= 0 {
		return uint32(i)
	}
	return w.addType([]byte{0x60, 0, 0})
}

// add writes what was added to the sections, as they are after all other changes.
func (w *rewriter) add() error {
	var kinds, code [][]byte
	for _, f := range w.addedFunctions {
		kinds = append(kinds, appendLEB(nil, uint64(f.kind)))
		code = append(code, appendLEB(nil, uint64(len(f.body))), f.body)
	}
	w.appendItems(sectionType, len(w.addedTypes), w.addedTypes)
	w.appendItems(sectionFunction, len(kinds), kinds)
	w.appendItems(sectionCode, len(kinds), code)
	if w.meter != nil {
		fuel := appendSigned([]byte{byte(I32), 1, byte(opI32Const)}, int64(w.options.Meter.Fuel))
		w.appendItems(sectionGlobal, 1, [][]byte{append(fuel, byte(opEnd))})
	}
	return nil
}

// appendItems adds n items, which lie in parts, at the end of a section that is a vector.
func (w *rewriter) appendItems(id sectionID, n int, parts [][]byte) {
	if n == 0 {
		return
	}
	body, ok := w.bodies[id]
	if !ok {
		body = []byte{0}
		if r, ok := w.section(id); ok {
			body = r.b
		}
	}
	r := &reader{b: body}
	count := r.u32()
	parts = slices.Concat([][]byte{appendLEB(nil, uint64(count)+uint64(n)), body[r.pos:]}, parts)
	w.bodies[id] = slices.Concat(parts...)
}
