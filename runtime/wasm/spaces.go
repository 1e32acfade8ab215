package wasm

// spaces is how many of each there are in a module, imported ones first. Only the spaces that a
// rewrite adds to are here: an index beyond their end is invalid before, and could name what was
// added after.
type spaces struct {
	types, functions int
	globals          []global
}

// global is one global, imported or defined.
type global struct {
	kind    ValueType
	mutable bool
}

// checkIndex fails when i is beyond the space that size picks.
func (r *reader) checkIndex(what string, i uint32, size func(*spaces) int) {
	if r.within == nil || r.err != nil {
		return
	}
	if n := size(r.within); uint64(i) >= uint64(n) {
		r.fail("%s %d is out of range: the module has %d", what, i, n)
	}
}

func (r *reader) typeIndex() uint32 {
	i := r.u32()
	r.checkIndex("type", i, func(s *spaces) int { return s.types })
	return i
}

func (r *reader) globalIndex() uint32 {
	i := r.u32()
	r.checkIndex("global", i, func(s *spaces) int { return len(s.globals) })
	return i
}

// functionIndex reads the index of a function and notes the place, since a rewrite moves functions.
func (r *reader) functionIndex() uint32 {
	start := r.pos
	i := r.u32()
	r.checkIndex("function", i, func(s *spaces) int { return s.functions })
	if r.within != nil && r.err == nil {
		r.edits = append(r.edits, edit{from: start, to: r.pos, kind: editFunction, n: i})
	}
	return i
}

// memoryIndex reads the index of a memory, of which there is one.
func (r *reader) memoryIndex() {
	if i := r.byte(); i != 0 {
		r.fail("memory index %#x: more than one memory is not supported", i)
	}
}
