package wasm

// Meter says how a module is metered.
//
// An added mutable i32 global holds the fuel. Fuel is taken at the entry of functions and at the
// head of loops, by the size of the code that the check stands for, and before each piece of what
// writes many bytes at once. Where it falls below zero, the guest calls an imported function of
// type () -> (), before the code that was to be paid: a host that lets the guest go on writes the
// global again, at least to zero, else it is called at the next check. What the guest does has no
// part in it: the same run is stopped at the same places.
//
// One unit is one round of a small loop, or one call, at most 256 plain instructions, or 16 bytes
// written at once where that is much: from half a nanosecond to some hundred.
type Meter struct {
	Module, Name string // of the imported function, which stands behind all other imports
	Fuel         int32  // what the global starts with
}

const (
	unitShift  = 8
	pieceShift = 4              // a unit pays for 1 << pieceShift bytes of a piece, which take 3 ns beyond the caches
	unitWeight = 1 << unitShift // plain instructions that a unit pays for
	maxUnits   = 1 << 30        // so that taking it from any fuel that is not negative cannot wrap around

	// leafWeight is up to which weight a function that calls nothing has no check at its entry: it
	// can neither recurse nor last, and the caller's check pays for the call.
	leafWeight = 64
	callWeight = 16
	// tightWeight is up to which weight a loop that calls nothing is tight, and tightRounds how
	// many rounds of it are paid for at once. Rounds that are left when the loop ends are lost
	// unless the function comes to another.
	tightWeight = 48
	tightRounds = 16
	// hostWeight is that of a call that may reach the host: a microsecond is common for the
	// smallest.
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

// gauge writes the instructions that meter. All leave the stack as they found it, so that they can
// stand anywhere.
type gauge struct {
	fuel uint32 // index of the global
	tick uint32 // index of the imported function
}

// check takes n units and calls the host when there are none left.
func (g *gauge) check(c code, n uint32) code {
	return g.take(c.with(opGlobalGet, g.fuel).number(int32(n)))
}

// checkRounds is the check of a tight loop. It pays for several rounds at once and counts them in a
// local, which begins at zero and is for all such loops of a function. A round then waits for no
// store to memory, as it does for that of the fuel: the tightest loop there is takes 1.7 times its
// time, and not three times.
func (g *gauge) checkRounds(local uint32) code {
	c := code(nil).with(opLocalGet, local).plain(opIf).op(opElse)
	c = g.check(c, tightRounds).number(tightRounds).with(opLocalSet, local).op(opEnd)
	return c.with(opLocalGet, local).number(1).op(opI32Sub).with(opLocalSet, local)
}

// checkLength takes units by the bytes or table elements that the given local counts.
func (g *gauge) checkLength(c code, local uint32) code {
	return g.take(c.with(opGlobalGet, g.fuel).with(opLocalGet, local).number(pieceShift).op(opI32ShrU))
}

// take subtracts, from the fuel, and asks.
//
// The call stands in the else branch, behind an empty one. A call takes all registers, and wazero
// goes on behind an if with the registers as its first branch leaves them: with the call there,
// every check would spill and reload what the code around it works with, even when the call is not
// made. That is the difference between 7% and 16% for a guest compiled by Go; the arithmetic on the
// global is next to nothing.
func (g *gauge) take(c code) code {
	c = c.op(opI32Sub).with(opGlobalSet, g.fuel)
	c = c.with(opGlobalGet, g.fuel).number(0).op(opI32GeS)
	return c.plain(opIf).op(opElse).with(opCall, g.tick).op(opEnd)
}
