package wasm

// code is instructions in the making. Each method appends some.
type code []byte

// op appends instructions without immediates, or without all of them.
func (c code) op(ops ...opcode) code {
	for _, op := range ops {
		if op > 0xff {
			c = appendLEB(append(c, byte(op>>8)), uint64(byte(op)))
			continue
		}
		c = append(c, byte(op))
	}
	return c
}

// with appends an instruction with an index.
func (c code) with(op opcode, index uint32) code { return appendLEB(c.op(op), uint64(index)) }

// number appends an i32.const.
func (c code) number(n int32) code { return appendSigned(c.op(opI32Const), int64(n)) }

// block appends the beginning of a block with the type of that index.
func (c code) block(op opcode, kind uint32) code { return appendSigned(c.op(op), int64(kind)) }

// plain appends the beginning of a block that neither takes nor leaves anything.
func (c code) plain(op opcode) code { return append(c.op(op), 0x40) }

func appendSigned(b []byte, n int64) []byte {
	for n < -0x40 || n >= 0x40 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n)&0x7f)
}
