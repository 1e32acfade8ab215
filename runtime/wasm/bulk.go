package wasm

import "slices"

// bulk is an instruction that writes as many bytes or table elements as it is told to: an engine
// does it all at once, a hundred megabytes at a time, and neither the garbage collector nor a
// deadline can come between. So what is long is done in pieces by a function that is added for the
// instruction, with a check before each piece.
type bulk struct {
	op        opcode
	immediate string // the bytes behind op
}

// pieces is what does an instruction in pieces.
type pieces struct {
	kind     uint32 // type of what the instruction takes from the stack, returning nothing
	function uint32 // of that type; both are indexes in the new module
}

const (
	// longBulk is from what length on an instruction is done in pieces. Below it, what it costs is
	// part of the weight of the code around it, at a fixed price: a shorter one pays too much,
	// which nobody notices.
	longBulk = 16 * unitWeight
	// pieceLength is what is done at once: some microseconds, beside which the check is nothing.
	pieceLength = 64 << 10
)

// split has an instruction done in pieces where it is long: the one at offset at, whose own edits
// begin with the given one. It returns by how much the instruction weighs more than others.
func (b *body) split(i bulk, at, edits int) uint64 {
	if b.lastKnown && b.last <= longBulk {
		return uint64(b.last)
	}
	p, ok := b.w.inPieces(i)
	if !ok {
		return 0
	}
	length := b.local(localLong)
	before := code(nil).with(opLocalTee, length).with(opLocalGet, length).number(longBulk).op(opI32LeU).block(opIf, p.kind)
	after := code(nil).op(opElse).with(opCall, p.function).op(opEnd)
	b.edits = slices.Insert(b.edits, edits, edit{from: at, to: at, kind: editCode, code: before})
	b.edits = append(b.edits, edit{from: b.pos, to: b.pos, kind: editCode, code: after})
	b.splits = true
	return longBulk
}

// inPieces returns what does i in pieces. It fails for a table that does not exist: the module is
// invalid, and stays it.
func (w *rewriter) inPieces(i bulk) (pieces, bool) {
	if p, ok := w.pieces[i]; ok {
		return p, true
	}
	second := []byte{byte(I32)}
	if i.op == opTableFill {
		table := (&reader{b: []byte(i.immediate)}).u32()
		if uint64(table) >= uint64(len(w.tables)) {
			return pieces{}, false
		}
		second = w.tables[table]
	}
	encoded := slices.Concat([]byte{0x60, 3, byte(I32)}, second, []byte{byte(I32), 0})
	p := pieces{kind: w.addType(encoded)}
	p.function = w.addFunction(p.kind, w.meter.inPieces(i))
	w.pieces[i] = p
	return p, true
}

// copies tells whether the second operand is a place too, and not what is written.
func (i bulk) copies() bool { return i.op != opMemoryFill && i.op != opTableFill }

// overlaps tells whether what is written may be what is read.
func (i bulk) overlaps() bool { return i.op == opMemoryCopy || i.op == opTableCopy }

// The locals of a function that does an instruction in pieces: the instruction's operands, and the
// length of a piece.
const (
	localTo   = iota
	localFrom // or what is written
	localLength
	localPiece
)

// inPieces returns the body of a function that does i in pieces.
//
// All of it must be in bounds before any of it is written. What tells is the instruction itself,
// with the length 0 at the place where all ends: it traps as the whole would. An end that takes
// more than 32 bits is either out of bounds or the very end of the largest memory there can be;
// then the instruction is done as it is.
func (g *gauge) inPieces(i bulk) []byte {
	c := code{1, 1, byte(I32)}.wraps(localTo)
	if i.copies() {
		c = c.wraps(localFrom).op(opI32Or)
	}
	c = c.plain(opIf).with(opLocalGet, localTo).with(opLocalGet, localFrom).with(opLocalGet, localLength).bulk(i)
	c = c.op(opReturn, opEnd)
	c = c.ends(i).number(0).bulk(i)
	if !i.overlaps() {
		return g.forwards(c, i).op(opEnd)
	}
	c = c.with(opLocalGet, localTo).with(opLocalGet, localFrom).op(opI32GtU)
	c = g.backwards(c.plain(opIf), i)
	c = g.forwards(c.op(opElse), i)
	return c.op(opEnd, opEnd)
}

// forwards does what is left from its beginning on, and moves the beginning.
func (g *gauge) forwards(c code, i bulk) code {
	c = g.nextPiece(c)
	c = c.with(opLocalGet, localTo).with(opLocalGet, localFrom).with(opLocalGet, localPiece).bulk(i)
	c = c.change(localTo, opI32Add)
	if i.copies() {
		c = c.change(localFrom, opI32Add)
	}
	return c.change(localLength, opI32Sub).with(opLocalGet, localLength).with(opBranchIf, 0).op(opEnd)
}

// backwards does what is left from its end on, so that nothing is written over before it was read.
func (g *gauge) backwards(c code, i bulk) code {
	c = g.nextPiece(c).change(localLength, opI32Sub)
	c = c.ends(i).with(opLocalGet, localPiece).bulk(i)
	return c.with(opLocalGet, localLength).with(opBranchIf, 0).op(opEnd)
}

// nextPiece begins a loop over pieces: it tells the length of the next, and takes the fuel for it.
func (g *gauge) nextPiece(c code) code {
	c = c.plain(opLoop).with(opLocalGet, localLength).number(pieceLength)
	c = c.with(opLocalGet, localLength).number(pieceLength).op(opI32LtU, opSelect).with(opLocalSet, localPiece)
	return g.checkLength(c, localPiece)
}

// wraps leaves 1 where the place in the local, and as much as there is to do behind it, is beyond
// 32 bits.
func (c code) wraps(local uint32) code {
	return c.sum(local, localLength).with(opLocalGet, local).op(opI32LtU)
}

// ends leaves i's first two operands for the place where what is left to do ends.
func (c code) ends(i bulk) code {
	c = c.sum(localTo, localLength)
	if i.copies() {
		return c.sum(localFrom, localLength)
	}
	return c.with(opLocalGet, localFrom)
}

func (c code) sum(a, b uint32) code {
	return c.with(opLocalGet, a).with(opLocalGet, b).op(opI32Add)
}

// change adds the piece to a local, or subtracts it.
func (c code) change(local uint32, op opcode) code {
	return c.with(opLocalGet, local).with(opLocalGet, localPiece).op(op).with(opLocalSet, local)
}

func (c code) bulk(i bulk) code { return append(c.op(i.op), i.immediate...) }
