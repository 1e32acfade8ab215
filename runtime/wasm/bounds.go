package wasm

// The bounds of what a module may ask of a compiler. Compilers allocate and search by these
// numbers, some of them by their squares or products, so that a module of some kilobytes can ask
// for gigabytes or minutes: four bytes can declare four billion locals (RATIONALE.md, "What may a
// module ask of the compiler?"). Where the browsers agree on a bound it is theirs
// (https://webassembly.github.io/spec/js-api/#limits); beside each other one stands the most that
// was found in real modules: those that Go makes of programs from 5 to 100 MB, its own compiler
// among them.
const (
	maxBodySize   = 2 << 20    // bytes of a function; 0.7 MB
	maxNesting    = 10_000     // blocks within each other; 7,741
	maxLocals     = 50_000     // of a function, declared; the browsers'
	maxAllLocals  = 10_000_000 // of all functions, declared; 250,000
	maxTargets    = 65_520     // of a function's br_tables together; one table's in browsers. 12,048
	maxBulk       = 4_096      // instructions of a function that fill or copy; 515
	maxCrossings  = 4_000_000  // blocks × locals of a function: what flows may meet where blocks do; 67,842
	maxLoopedWork = 32_000_000 // loops, each counted once for each one around it, × locals; 60
)

// demands counts what a function asks of a compiler.
type demands struct {
	nesting   int // the most blocks that were open at once
	blocks    uint64
	targets   uint64 // of br_tables
	bulk      uint64
	loops     int    // that are open
	loopDepth uint64 // the sum over all loops of how many were open, each with itself
}

// count counts an instruction in that has left so many blocks open. targets is how many a br_table
// has besides its default.
func (d *demands) count(op opcode, targets uint32, open int) {
	switch {
	case op == opLoop:
		d.loops++
		d.loopDepth += uint64(d.loops)
		d.blocks++
	case op == opBlock, op == opIf, op == opElse, op == opTryTable:
		d.blocks++
	case op == opBranchTable:
		d.targets += uint64(targets) + 1
	case op.bulk():
		d.bulk++
	}
	d.nesting = max(d.nesting, open)
}

// checkDemands fails where the function asks for too much.
func (b *body) checkDemands() {
	locals := uint64(b.params) + uint64(b.declared)
	for _, bound := range []struct {
		asked, most uint64
		what        string
	}{
		{uint64(b.demands.nesting), maxNesting, "blocks within each other"},
		{b.demands.targets, maxTargets, "branch table targets"},
		{b.demands.bulk, maxBulk, "instructions that fill or copy"},
		{b.demands.blocks * locals, maxCrossings, "blocks times locals"},
		{b.demands.loopDepth * locals, maxLoopedWork, "loops within each other times locals"},
	} {
		if bound.asked > bound.most {
			b.fail("function %d has %d %s; at most %d", b.index, bound.asked, bound.what, bound.most)
			return
		}
	}
}
