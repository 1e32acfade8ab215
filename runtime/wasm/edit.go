package wasm

// edit replaces the bytes from and up to to of a section or function body. Edits are kept in the
// order of the file.
type edit struct {
	from, to int
	kind     editKind
	n        uint32
	code     []byte
}

type editKind byte

const (
	editNone     editKind = iota
	editFunction          // the index of function n of the original
	editNumber            // the number n
	editLocals            // the declaration of the added locals
	editCheck             // a check that takes n units of fuel
	editCode              // code, as it is
)

// apply appends b to out with the edits made.
func (w *rewriter) apply(out, b []byte, edits []edit) []byte {
	done := 0
	for _, e := range edits {
		if e.kind == editNone {
			continue
		}
		out = append(out, b[done:e.from]...)
		done = e.to
		switch e.kind {
		case editFunction:
			out = appendLEB(out, uint64(w.moved(e.n)))
		case editNumber:
			out = appendLEB(out, uint64(e.n))
		case editLocals:
			out = append(out, addedLocals, byte(I32))
		case editCheck:
			out = w.meter.check(out, e.n)
		case editCode:
			out = append(out, e.code...)
		}
	}
	return append(out, b[done:]...)
}
