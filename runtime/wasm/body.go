package wasm

import "slices"

// body is the walk over one function: it checks that every instruction is understood, notes what
// the report needs, and collects the edits.
type body struct {
	*reader
	w        *rewriter
	index    uint32 // of the function in the original
	params   uint32
	declared uint32 // locals besides the parameters

	open     []block // the blocks that are open, the innermost last
	regions  []region
	straight bool // no instruction so far could branch or call
	calls    bool
	splits   bool // some instruction is done in pieces when it is long
	demands  demands

	// last is the number that the instruction before has put on the stack, if it was one that does.
	last      uint32
	lastKnown bool
}

// block is a block of instructions, and what pays for them.
type block struct {
	region int
	loop   bool
}

// region is the code that one check pays for: a function without its loops, or a loop without those
// inside it. Once the check is passed, an instruction of the region runs at most once before the
// next check.
type region struct {
	check  int // its place in edits
	weight uint64
	loop   bool // the check is at a loop's head
	calls  bool
}

// tight tells whether the region is a loop so short that a check in each round would be most of it.
func (r region) tight() bool { return r.loop && !r.calls && r.weight <= tightWeight }

// The edits every function has room for, ahead of those of its instructions.
const (
	slotCount = iota
	slotLocal
	slotEntry
	slots
)

// The locals that a function has added, if it needs one of them.
const (
	localLong   = iota // the length of what may be done in pieces
	localRounds        // of tight loops, that are paid for
	addedLocals
)

// local returns the index of an added local.
func (b *body) local(added uint32) uint32 { return b.params + b.declared + added }

func (w *rewriter) newBody(r *reader, index uint32) *body {
	b := &body{reader: r, w: w, index: index, straight: true}
	b.params = w.types[w.functions[index]].params
	return b
}

// walk reads the function and returns its edits.
func (b *body) walk() []edit {
	b.edits = append(b.w.edits[:0], make([]edit, slots)...)
	start := b.pos
	b.leb(32)
	countEnd := b.pos
	b.pos = start
	b.declared = b.locals()
	for slot := slotLocal; slot <= slotEntry; slot++ {
		b.edits[slot].from, b.edits[slot].to = b.pos, b.pos
	}
	b.edits[slotCount].from, b.edits[slotCount].to = start, countEnd

	b.regions = append(b.regions, region{check: slotEntry})
	b.open = append(b.open, block{})
	for len(b.open) > 0 && b.err == nil {
		b.instruction()
	}
	b.checkDemands()
	if b.err == nil && b.more() {
		b.fail("%d bytes are left after the function's end", len(b.b)-b.pos)
	}
	if b.w.meter != nil && b.err == nil {
		b.placeChecks()
	}
	return b.edits
}

func (b *body) instruction() {
	at, edits := b.pos, len(b.edits)
	op := b.opcode()
	operands := b.pos
	n := b.immediates(op)
	if b.err != nil {
		return
	}
	weight := b.w.weight(op, n)
	if op.bulk() && b.w.meter != nil {
		weight += b.split(bulk{op, string(b.b[operands:b.pos])}, at, edits)
	}
	b.last, b.lastKnown = n, op == opI32Const
	inside := b.open[len(b.open)-1].region
	region := &b.regions[inside]
	region.weight += weight
	region.calls = region.calls || op.calls()
	switch {
	case op == opBlock, op == opIf, op == opTryTable:
		b.open = append(b.open, block{region: inside})
	case op == opLoop:
		b.enterLoop()
	case op == opEnd:
		b.leaveBlock()
	}
	b.demands.count(op, n, len(b.open))
	b.straight = b.straight && !op.diverts()
	b.calls = b.calls || op.calls()
	b.note(op, n, at)
}

// leaveBlock ends the innermost block.
func (b *body) leaveBlock() {
	last := len(b.open) - 1
	if b.open[last].loop {
		b.demands.loops--
	}
	b.open = b.open[:last]
}

// note keeps what the report and the metering need to know of an instruction that begins at offset
// at.
func (b *body) note(op opcode, n uint32, at int) {
	switch op {
	case opCall, opReturnCall:
		b.w.graph.call(n)
	case opRefFunc:
		b.w.graph.root(n)
		// wazero keeps some bytes for each time one is executed, until the instance is closed: one
		// that is reset would grow without end.
		b.w.sight(sighting{function: b.index, offset: b.base + at, op: op})
	case opGlobalSet:
		if g := b.w.spaces.globals[n]; !g.kind.number() {
			b.w.sight(sighting{function: b.index, offset: b.base + at, op: op, global: n})
		}
	case opTableSet, opDataDrop, opElemDrop, opTableInit, opTableCopy, opTableGrow, opTableFill:
		b.w.sight(sighting{function: b.index, offset: b.base + at, op: op})
	}
	b.w.dataNamed = b.w.dataNamed || op == opMemoryInit || op == opDataDrop
}

// enterLoop begins a region with a check at the loop's head. A loop that every run of the function
// reaches first needs no check at the function's entry besides: there is one region for both. All
// functions of standard Go have this form.
func (b *body) enterLoop() {
	head := len(b.edits)
	b.edits = append(b.edits, edit{from: b.pos, to: b.pos})
	if b.straight {
		b.regions[0].check, b.regions[0].loop = head, true
		b.open = append(b.open, block{0, true})
		return
	}
	b.open = append(b.open, block{len(b.regions), true})
	b.regions = append(b.regions, region{check: head, loop: true})
}

// placeChecks turns the regions' edits into checks, now that their weights are known.
func (b *body) placeChecks() {
	tight := slices.ContainsFunc(b.regions, region.tight)
	if b.splits || tight {
		groups := &reader{b: b.b[b.edits[slotCount].from:]}
		b.edits[slotCount].kind, b.edits[slotCount].n = editNumber, groups.u32()+1
		b.edits[slotLocal].kind = editLocals
	}
	for i, region := range b.regions {
		entry := i == 0 && region.check == slotEntry
		if entry && !b.calls && region.weight <= leafWeight {
			continue
		}
		e := &b.edits[region.check]
		if region.tight() {
			e.kind, e.code = editCode, b.w.meter.checkRounds(b.local(localRounds))
			continue
		}
		e.kind, e.n = editCheck, units(region.weight)
	}
}
