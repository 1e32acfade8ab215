package wasm

// Meter says how a module is metered.
//
// An added mutable i32 global holds the fuel. Fuel is taken at the entry of functions and at the head of loops, by the
// size of the code that the check stands for, and before the instructions that write many bytes at once. Where it falls
// below zero, the guest calls an imported function of type () -> (), before the code that was to be paid: a host
// that lets the guest go on writes the global again, at least to zero, else it is called at the next check. What the
// guest does has no part in it: the same run is stopped at the same places.
//
// One unit is one round of a small loop or one call, at most 256 plain instructions, or 1 KiB written at once: from
// half a nanosecond to some hundred.
type Meter struct {
	Module, Name string // of the imported function, which stands behind all other imports
	Fuel         int32  // what the global starts with
}

const (
	unitWeight = 256     // plain instructions a unit pays for
	maxUnits   = 1 << 30 // so that taking it from any fuel that is not negative cannot wrap around
	bulkShift  = 10      // bytes or table elements a unit pays for, as a power of two

	// leafWeight is up to which weight a function that calls nothing has no check at its entry: it can neither recurse
	// nor last, and the caller's check pays for the call.
	leafWeight = 64
	callWeight = 16
	// hostWeight is that of a call that may reach the host: a microsecond is common for the smallest.
	hostWeight = 8 * unitWeight
	growWeight = unitWeight
)

// weight is what op counts for in its region; n is the function when op names one.
func (w *rewriter) weight(op opcode, n uint32) uint64 {
	switch {
	case op == opCall, op == opReturnCall:
		if n < w.imported {
			return hostWeight
		}
		return callWeight
	case op.calls():
		if w.importsReferenced {
			return hostWeight
		}
		return callWeight
	case op == opMemoryGrow, op == opTableGrow:
		return growWeight
	}
	return 1
}

func units(weight uint64) uint32 {
	return uint32(min(1+weight/unitWeight, maxUnits))
}

// gauge writes the instructions that meter. All leave the stack as they found it, so that they can stand anywhere.
type gauge struct {
	fuel uint32 // index of the global
	tick uint32 // index of the imported function
}

// check takes n units and calls the host when there are none left.
func (g *gauge) check(b []byte, n uint32) []byte {
	b = appendOp(b, opGlobalGet, g.fuel)
	b = appendSigned(append(b, byte(opI32Const)), int64(n))
	return g.take(b)
}

// bulk takes units by the length on top of the stack, which the given local keeps meanwhile.
func (g *gauge) bulk(b []byte, local uint32) []byte {
	b = appendOp(b, opLocalSet, local)
	b = appendOp(b, opGlobalGet, g.fuel)
	b = appendOp(b, opLocalGet, local)
	b = appendSigned(append(b, byte(opI32Const)), bulkShift)
	b = append(b, byte(opI32ShrU))
	b = g.take(b)
	return appendOp(b, opLocalGet, local)
}

// take subtracts, from the fuel, and asks.
//
// The call stands in the else branch, behind an empty one. A call takes all registers, and wazero goes on behind an if
// with the registers as its first branch leaves them: with the call there, every check would spill and reload what the
// code around it works with, even when the call is not made. That is the difference between 7% and 16% for a guest
// compiled by Go; the arithmetic on the global is next to nothing.
func (g *gauge) take(b []byte) []byte {
	const noResult = 0x40
	b = appendOp(append(b, byte(opI32Sub)), opGlobalSet, g.fuel)
	b = appendOp(b, opGlobalGet, g.fuel)
	b = append(b, byte(opI32Const), 0, byte(opI32GeS), byte(opIf), noResult, byte(opElse))
	return append(appendOp(b, opCall, g.tick), byte(opEnd))
}

func appendOp(b []byte, op opcode, index uint32) []byte {
	return appendLEB(append(b, byte(op)), uint64(index))
}

func appendSigned(b []byte, n int64) []byte {
	for n < -0x40 || n >= 0x40 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n)&0x7f)
}
