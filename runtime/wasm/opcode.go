package wasm

import "fmt"

// opcode is an instruction: its byte, or its prefix and the number behind that.
type opcode uint16

const (
	opBlock        opcode = 0x02
	opLoop         opcode = 0x03
	opIf           opcode = 0x04
	opElse         opcode = 0x05
	opEnd          opcode = 0x0b
	opBranchIf     opcode = 0x0d
	opBranchTable  opcode = 0x0e
	opReturn       opcode = 0x0f
	opCall         opcode = 0x10
	opCallIndirect opcode = 0x11
	opReturnCall   opcode = 0x12
	opReturnRef    opcode = 0x15 // the last of the calls
	opSelect       opcode = 0x1b
	opTryTable     opcode = 0x1f
	opLocalGet     opcode = 0x20
	opLocalSet     opcode = 0x21
	opLocalTee     opcode = 0x22
	opGlobalGet    opcode = 0x23
	opGlobalSet    opcode = 0x24
	opTableSet     opcode = 0x26
	opMemoryGrow   opcode = 0x40
	opI32Const     opcode = 0x41
	opI32Eq        opcode = 0x46
	opI32LtU       opcode = 0x49
	opI32GtU       opcode = 0x4b
	opI32LeU       opcode = 0x4d
	opI32GeS       opcode = 0x4e
	opI32Add       opcode = 0x6a
	opI32Sub       opcode = 0x6b
	opI32Or        opcode = 0x72
	opI32ShrU      opcode = 0x76
	opRefFunc      opcode = 0xd2

	opMemoryInit opcode = 0xfc08
	opDataDrop   opcode = 0xfc09
	opMemoryCopy opcode = 0xfc0a
	opMemoryFill opcode = 0xfc0b
	opTableInit  opcode = 0xfc0c
	opElemDrop   opcode = 0xfc0d
	opTableCopy  opcode = 0xfc0e
	opTableGrow  opcode = 0xfc0f
	opTableFill  opcode = 0xfc11
)

const (
	prefixGC      = 0xfb
	prefixMisc    = 0xfc
	prefixVector  = 0xfd
	prefixThreads = 0xfe
)

// opcode reads an instruction without its immediates.
func (r *reader) opcode() opcode {
	switch c := r.byte(); c {
	case prefixMisc, prefixVector:
		sub := r.subcode()
		if sub > 0xff {
			r.fail("unknown instruction %#x %#x; relaxed vector instructions are not supported", c, sub)
		}
		return opcode(c)<<8 | opcode(sub)
	case prefixThreads:
		r.fail("atomic instruction %#x %#x: threads are not supported", c, r.byte())
	case prefixGC, 0xd3:
		r.fail("instruction %#x: garbage-collected references are not supported", c)
	case 0x06, 0x07, 0x09, 0x18, 0x19:
		r.fail("instruction %#x: legacy exceptions are not supported; rebuild with the standard ones (try_table)", c)
	default:
		return opcode(c)
	}
	return 0
}

// subcode reads the number behind a prefix. A rewrite writes it in its shortest form: there are
// compilers that take one byte for it whatever follows, and two readings of one binary must not be
// possible.
func (r *reader) subcode() uint32 {
	start := r.pos
	n := r.u32()
	padded := r.pos-start > 1 && r.pos-start != len(appendLEB(nil, uint64(n)))
	if r.within != nil && r.err == nil && padded {
		r.edits = append(r.edits, edit{from: start, to: r.pos, kind: editNumber, n: n})
	}
	return n
}

// diverts tells whether what runs after op may be another than the next instruction, or a label
// stands there that others may come to. A block that opens is neither.
func (op opcode) diverts() bool {
	switch op {
	case opBlock, 0x01, 0x1a, 0x1b, 0x1c: // nop, drop, select
		return false
	case 0xd5, 0xd6: // br_on_null, br_on_non_null
		return true
	}
	return op < opLocalGet
}

// calls tells whether op calls a function, in any way.
func (op opcode) calls() bool { return op >= opCall && op <= opReturnRef }

// bulk tells whether op writes as many bytes or table elements as it is told to.
func (op opcode) bulk() bool {
	switch op {
	case opMemoryInit, opMemoryCopy, opMemoryFill, opTableInit, opTableCopy, opTableFill:
		return true
	}
	return false
}

// String names the instructions that a report may mention.
func (op opcode) String() string {
	switch op {
	case opRefFunc:
		return "ref.func"
	case opTableSet:
		return "table.set"
	case opGlobalSet:
		return "global.set"
	case opDataDrop:
		return "data.drop"
	case opElemDrop:
		return "elem.drop"
	case opTableInit:
		return "table.init"
	case opTableCopy:
		return "table.copy"
	case opTableGrow:
		return "table.grow"
	case opTableFill:
		return "table.fill"
	}
	if op > 0xff {
		return fmt.Sprintf("instruction %#x %#x", byte(op>>8), byte(op))
	}
	return fmt.Sprintf("instruction %#x", byte(op))
}
