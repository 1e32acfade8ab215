package wasm

// immediates passes over what follows op, and returns the index when op names a function, global or
// local, the number when it is i32.const, and how many targets a br_table has besides its default.
func (b *body) immediates(op opcode) uint32 {
	switch {
	case op >= 0x45 && op <= 0xc4: // arithmetic, comparisons, conversions
	case op >= opLocalGet && op <= opLocalTee:
		return b.localIndex()
	case op >= 0x28 && op <= 0x3e: // loads and stores
		b.memoryArgument()
	case op>>8 == prefixMisc:
		b.miscImmediates(op)
	case op>>8 == prefixVector:
		b.vectorImmediates(byte(op))
	default:
		return b.plainImmediates(op)
	}
	return 0
}

func (b *body) plainImmediates(op opcode) uint32 {
	switch op {
	case 0x00, 0x01, 0x05, 0x0a, 0x0b, 0x0f, 0x1a, 0x1b, 0xd1, 0xd4:
		// unreachable, nop, else, throw_ref, end, return, drop, select, ref.is_null,
		// ref.as_non_null
	case opBlock, opLoop, opIf:
		b.blockType()
	case opTryTable:
		b.blockType()
		b.vector(b.catch)
	case 0x0c, 0x0d, 0xd5, 0xd6, // br, br_if, br_on_null, br_on_non_null
		0x08, 0x25, opTableSet: // throw, table.get
		b.u32()
	case opBranchTable:
		return b.branchTable()
	case opCall, opReturnCall, opRefFunc:
		return b.functionIndex()
	case opCallIndirect, 0x13: // and its tail call
		b.typeIndex()
		b.u32()
	case 0x14, opReturnRef: // call_ref and its tail call
		b.typeIndex()
	case 0x1c: // select with types
		b.vector(func() { b.valueType() })
	case opGlobalGet, opGlobalSet:
		return b.globalIndex()
	case 0x3f, opMemoryGrow: // memory.size
		b.memoryIndex()
	case opI32Const:
		return uint32(b.signed(32))
	case 0x42: // i64.const
		b.signed(64)
	case 0x43: // f32.const
		b.bytes(4)
	case 0x44: // f64.const
		b.bytes(8)
	case 0xd0: // ref.null
		b.heapType()
	default:
		b.fail("unknown instruction %#x", byte(op))
	}
	return 0
}

func (b *body) miscImmediates(op opcode) {
	switch op {
	case 0xfc00, 0xfc01, 0xfc02, 0xfc03, 0xfc04, 0xfc05, 0xfc06, 0xfc07: // conversions that do not trap
	case opMemoryInit:
		b.u32()
		b.memoryIndex()
	case opMemoryCopy:
		b.memoryIndex()
		b.memoryIndex()
	case opMemoryFill:
		b.memoryIndex()
	case opTableInit, opTableCopy:
		b.u32()
		b.u32()
	case opDataDrop, opElemDrop, opTableGrow, 0xfc10, opTableFill: // and table.size
		b.u32()
	default:
		b.fail("unknown instruction %#x %#x", prefixMisc, byte(op))
	}
}

func (b *body) vectorImmediates(sub byte) {
	switch {
	case sub <= 11, sub == 92, sub == 93: // loads, stores, loads that fill with zeros
		b.memoryArgument()
	case sub == 12, sub == 13: // v128.const, i8x16.shuffle
		b.bytes(16)
	case sub >= 21 && sub <= 34: // lanes taken out and put in
		b.byte()
	case sub >= 84 && sub <= 91: // loads and stores of one lane
		b.memoryArgument()
		b.byte()
	}
	switch sub {
	case 0x9a, 0xa2, 0xa5, 0xa6, 0xaf, 0xb0, 0xb2, 0xb3, 0xb4, 0xbb, 0xc2, 0xc5, 0xc6, 0xcf, 0xd0, 0xd2, 0xd3, 0xd4,
		0xe2, 0xee: // the gaps in the numbering
		b.fail("unknown instruction %#x %#x", prefixVector, sub)
	}
}

func (b *body) memoryArgument() {
	const namesMemory = 1 << 6
	if align := b.u32(); align >= namesMemory {
		b.fail("memory argument %#x: more than one memory is not supported", align)
	}
	b.u32()
}

// blockType passes over nothing, one value type, or the index of a function type.
func (b *body) blockType() {
	if b.pos < len(b.b) && b.b[b.pos] == 0x40 {
		b.pos++
		return
	}
	if b.pos < len(b.b) && b.b[b.pos]&0xc0 == 0x40 { // a negative number of one byte
		b.valueType()
		return
	}
	i := b.signed(33)
	if i < 0 {
		b.fail("block type %d is padded", i)
		return
	}
	b.checkIndex("type", uint32(i), func(s *spaces) int { return s.types })
}

// branchTable passes over the targets of a br_table and returns how many there are.
func (b *body) branchTable() uint32 {
	n := b.count()
	for range n + 1 { // and the default
		b.u32()
	}
	return n
}

func (b *body) catch() {
	switch kind := b.byte(); kind {
	case 0, 1: // a tag, with or without the exception itself
		b.u32()
		b.u32()
	case 2, 3: // any
		b.u32()
	default:
		b.fail("unknown catch clause %#x", kind)
	}
}

// localIndex reads the index of a local. Metering may add some, so those beyond the function's own
// are refused here.
func (b *body) localIndex() uint32 {
	i := b.u32()
	if n := b.params + b.declared; b.err == nil && i >= n {
		b.fail("local %d is out of range: the function has %d", i, n)
	}
	return i
}
