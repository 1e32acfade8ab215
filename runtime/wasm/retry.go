package wasm

func (w *rewriter) retried(im Import) (Retry, bool) {
	for _, r := range w.options.Retry {
		if r.Module == im.Module && r.Name == im.Name {
			return r, true
		}
	}
	return Retry{}, false
}

// wrapRetried appends a function for each retried import, to which everything that named the import has been moved.
//
// The function passes its parameters to the import in a loop until the result is another than the one to retry on. It
// is not metered: each round is a call of the host.
func (w *rewriter) wrapRetried() error {
	for i, im := range w.importedFunctions() {
		retry, ok := w.retried(im)
		if !ok {
			continue
		}
		t := w.types[w.functions[i]]
		if len(t.results) != 1 || t.results[0] != I32 {
			r := &reader{base: im.offset, section: sectionImport.String()}
			r.fail("function %q %q cannot be retried: its result is not one i32", im.Module, im.Name)
			return r.err
		}
		w.appendItem(sectionFunction, appendLEB(nil, uint64(w.functions[i])))
		w.appendBody(retryBody(uint32(i), t.params, retry.Errno))
	}
	return nil
}

func retryBody(imported, params uint32, errno int32) []byte {
	const noResult, branchIf = 0x40, 0x0d
	b := []byte{1, 1, byte(I32), byte(opLoop), noResult} // one local, the result
	for i := range params {
		b = appendOp(b, opLocalGet, i)
	}
	b = appendOp(b, opCall, imported)
	b = appendOp(b, opLocalTee, params)
	b = appendSigned(append(b, byte(opI32Const)), int64(errno))
	b = append(b, byte(opI32Eq), branchIf, 0, byte(opEnd))
	return append(appendOp(b, opLocalGet, params), byte(opEnd))
}

// appendBody adds a function body; moveCode has counted it already, if there was any code.
func (w *rewriter) appendBody(body []byte) {
	sized := append(appendLEB(nil, uint64(len(body))), body...)
	if code, ok := w.bodies[sectionCode]; ok {
		w.bodies[sectionCode] = append(code, sized...)
		return
	}
	w.bodies[sectionCode] = append(appendLEB(nil, uint64(len(w.wrappers))), sized...)
}
