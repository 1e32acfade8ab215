package wasm

import (
	"cmp"
	"slices"
)

// span is a data segment at a place that is known.
type span struct {
	from    int
	content []byte
}

func (s span) end() int { return s.from + len(s.content) }

// maxGap is up to how many zeros between two segments are written out to make one of them. An
// engine takes about as long for a segment as for copying a kilobyte; Go's linker leaves gaps of
// less than 32 bytes, some twenty thousand of them.
const maxGap = 64

// joinData makes few data segments of many where memory is the same after them: a module in Go has
// tens of thousands, and what an engine does for each is most of the time that an instance takes to
// make.
//
// It changes nothing where it cannot be sure: when an instruction names a segment, when one may lie
// beyond the memory's end or over another, and for a memory of another's, which need not be zero
// between them.
func (w *rewriter) joinData() error {
	r, ok := w.section(sectionData)
	if !ok || w.dataNamed {
		return nil
	}
	count := r.count()
	spans := make([]span, 0, count)
	for range count {
		s, ok := r.span()
		if !ok || uint64(s.end()) > w.out.MemoryMin<<16 {
			return nil
		}
		spans = append(spans, s)
	}
	slices.SortStableFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	var groups [][]span // each to be one segment
	begin := 0
	for i := 1; i <= len(spans); i++ {
		gap := maxGap + 1
		if i < len(spans) {
			gap = spans[i].from - spans[i-1].end()
		}
		switch {
		case gap < 0:
			return nil
		case gap > maxGap:
			groups = append(groups, spans[begin:i])
			begin = i
		}
	}
	w.writeData(groups)
	return nil
}

// span reads a data segment; false for one that is passive or at a place that is not written down.
func (r *reader) span() (span, bool) {
	if r.u32() != 0 || opcode(r.byte()) != opI32Const {
		return span{}, false
	}
	from := int(uint32(r.signed(32)))
	if opcode(r.byte()) != opEnd {
		return span{}, false
	}
	return span{from, r.bytes(r.u32())}, true
}

func (w *rewriter) writeData(groups [][]span) {
	size := 0
	for _, group := range groups {
		size += group[len(group)-1].end() - group[0].from + 16 // for what stands around it
	}
	body := appendLEB(make([]byte, 0, size), uint64(len(groups)))
	for _, group := range groups {
		at := group[0].from
		body = code(append(body, 0)).number(int32(at)).op(opEnd)
		body = appendLEB(body, uint64(group[len(group)-1].end()-at))
		for _, s := range group {
			body = append(append(body, make([]byte, s.from-at)...), s.content...)
			at = s.end()
		}
	}
	w.bodies[sectionData] = body
	if _, ok := w.section(sectionDataCount); ok {
		w.bodies[sectionDataCount] = appendLEB(nil, uint64(len(groups)))
	}
}
