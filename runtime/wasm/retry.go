package wasm

func (w *rewriter) retried(im Import) (Retry, bool) {
	for _, r := range w.options.Retry {
		if r.Module == im.Module && r.Name == im.Name {
			return r, true
		}
	}
	return Retry{}, false
}

// wrapRetried adds a function for each retried import, to which everything that names the import is
// moved.
//
// The function passes its parameters to the import in a loop until the result is another than the
// one to retry on. It is not metered: each round is a call of the host.
func (w *rewriter) wrapRetried() error {
	w.wrappers = map[uint32]uint32{}
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
		w.wrappers[uint32(i)] = w.addFunction(w.functions[i], retryBody(uint32(i), t.params, retry.Errno))
	}
	return nil
}

func retryBody(imported, params uint32, errno int32) []byte {
	c := code{1, 1, byte(I32)}.plain(opLoop) // one local, the result
	for i := range params {
		c = c.with(opLocalGet, i)
	}
	c = c.with(opCall, imported).with(opLocalTee, params).number(errno).op(opI32Eq).with(opBranchIf, 0).op(opEnd)
	return c.with(opLocalGet, params).op(opEnd)
}
